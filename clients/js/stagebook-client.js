// Stagebook client: a participant of a stage in a web page. SPDX-License-Identifier: Apache-2.0
// Documented in stagebook-client.d.ts; names with an underscore are internal.
// All waiting goes through `_until`, and ends when its owner has an `_end`.

const MS = { answer: 15_000, silence: 45_000, probe: 5_000, grace: 2_000, notice: 60_000 };
const FIRST_ATTEMPTS = 5;
const FAREWELLS = ["PARTICIPANT_DISCONNECTED", "STAGE_DELETED", "CONNECTION_TOKEN_REVOKED"]; // from 4001 on
const KINDS = ["audio", "video"];
const LAYERS = [["low", 4, 0.08], ["mid", 2, 0.3], ["hi", 1, 1]]; // rid, scale, share of maxBitrate
const LAYER_LINK = /<([^>]+)>[^,]*whep:ext:core:layer/;
const ICE_LINK = /<((?:stun|turn)s?:[^>]+)>([^<]*)/g;

const backoffMs = (failures) => Math.min(16_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2);

export class StageError extends Error {
	constructor(code, message = code, status, retryAfterSeconds) {
		super(message);
		Object.assign(this, { name: "StageError", code, status, retryAfterSeconds });
	}
}

const fail = (...details) => new StageError(...details);

// A publication or subscription: one RTCPeerConnection after another.
class Link {
	state = "new";
	#opened = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));

	constructor(stage, differences) {
		Object.assign(this, { stage }, differences);
		this.#opened.catch(() => {});
	}

	open() {
		this.done ??= this.#run(this.stage);
		return this.#opened;
	}

	async close(error = null) {
		if (!this._end) {
			this._end = error ?? fail("CLOSED");
			this.reject(this._end);
			this.forget();
			this.#change("closed", error);
			if (error && this.wasConnected) this.stage._emit("error", { error });
			this.stage._changed();
		}
		await Promise.all([this.#drop(), this.done]);
	}

	// Whether the server has ended DTLS.
	get #isEnded() {
		return /closed|failed/.test(this.peer?.getReceivers()[0]?.transport?.state);
	}

	#change(state, error = null) {
		if (this.state !== state) this.stage._emit(this.event, { ...this.members, state: (this.state = state), error });
	}

	async #run(stage) {
		const showState = () => {
			const isWanted = this.isWanted();
			this.#change(!isWanted ? "waiting" : this.wasConnected ? "reconnecting" : "connecting");
			return isWanted;
		};
		for (let failures = 0, wasEnded; ; failures += 1) {
			let retryMs;
			try {
				await stage._until(() => showState() && stage.state === "connected", this);
				// Two pages with one token must not replace each other for ever.
				if (wasEnded && this.isTaken?.()) throw fail("REPLACED");
				this.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle", ...stage._configuration });
				this.peer.onconnectionstatechange = stage._changed;
				this.prepare(this.peer);
				await this.#negotiate(stage, this.peer);
				failures = -1;
				this.wasConnected = true;
				this.connected?.(this.peer);
				this.resolve();
				await this.#keep(stage, this.peer);
			} catch (error) {
				retryMs = error.retryAfterSeconds * 1000;
				const coded = error instanceof StageError ? error : fail("MEDIA", `${error}`);
				if (failures >= 0 && !this.#mayRetry(coded, failures)) this.close(coded);
			}
			wasEnded = this.#isEnded;
			const dropped = this.#drop();
			if (this._end) return dropped;
			showState();
			const wakes = stage._wakes;
			const isDue = () => !retryMs && stage._wakes !== wakes;
			await stage._until(isDue, this, retryMs || backoffMs(failures + 1)).catch(() => {});
		}
	}

	#mayRetry({ code, status }, failures) {
		this.wasSeen ||= code === "PUBLISHER_NOT_FOUND"; // now it waits for the list
		if (!this.wasConnected && failures + 1 >= FIRST_ATTEMPTS) return false;
		// The lost connection may still count.
		if (this.wasConnected && /PUBLISHER_NOT_FOUND|QUOTA_EXCEEDED/.test(code)) return true;
		return /NETWORK|CONNECTION_FAILED|408|429|5\d\d$/.test(`${code} ${status}`);
	}

	// Returns when the connection has ended.
	async #keep(stage, peer) {
		const isOver = () => this.#isEnded || !this.isWanted();
		const isLost = () => /disconnected|failed/.test(peer.connectionState);
		for (;;) {
			if (isOver()) return;
			const wakes = stage._wakes;
			this.#change("connected");
			await stage._until(() => isOver() || isLost() || stage._wakes !== wakes, this);
			if (isOver()) return;
			if (isLost()) this.#change("reconnecting");
			// Most lost paths come back.
			if (stage._wakes === wakes && (await stage._until(() => isOver() || !isLost(), this, MS.grace))) continue;
			peer.restartIce();
			await this.#negotiate(stage, peer);
		}
	}

	// The first offer, or an ICE restart (RFC 9725 section 4.3.3), during which media goes on if it can.
	async #negotiate(stage, peer) {
		const offer = await peer.createOffer();
		let { sdp } = offer;
		let response;
		if (this.location) {
			const type = "application/trickle-ice-sdpfrag";
			response = await stage._request("PATCH", this.location, { type, match: "*", body: fragmentOf(sdp) });
			sdp = withFragment(peer.remoteDescription.sdp, await response.text());
		} else {
			const url = stage._claims.whip_url + this.path;
			response = await stage._request("POST", url, { type: "application/sdp", body: sdp });
			this.location = new URL(response.headers.get("Location"), url).href;
			this.layersUrl = LAYER_LINK.exec(response.headers.get("Link"))?.[1];
			sdp = await response.text();
		}
		if (this._end) throw this._end;
		// Before the local description, with which the search for candidates begins.
		const iceServers = iceServersOf(response.headers.get("Link"));
		if (iceServers.length && !stage._configuration?.iceServers) {
			peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
		}
		await peer.setLocalDescription(offer);
		await peer.setRemoteDescription({ type: "answer", sdp });
		peer.getReceivers()[0].transport.onstatechange = stage._changed;
		const isConnected = () => peer.connectionState === "connected";
		await stage._until(() => isConnected() || this.#isEnded, this, MS.answer);
		if (!isConnected()) throw fail("CONNECTION_FAILED");
	}

	// The server notices the end without the DELETE, too.
	async #drop() {
		const { stage, peer, location } = this;
		this.peer = this.location = null;
		const deleted = location && stage._request("DELETE", location, { keepalive: true }).catch(() => {});
		peer?.close();
		await deleted;
	}
}

export class Stage extends EventTarget {
	state = "new";
	self = null;
	participants = new Map();
	publication = null;
	subscriptions = new Map();
	muted = { audio: false, video: false };
	_wakes = 0; // counts the reasons to check all connections at once
	#abort = new AbortController();
	#news = []; // events that wait until the list is complete
	#number = 0; // the sequence number of the list
	#exchanges = [];

	constructor(token, { rtcConfiguration } = {}) {
		super();
		this._configuration = rtcConfiguration;
		this._changed();
		this.#setToken(token);
	}

	async join() {
		if (this.state !== "new") throw fail("INVALID_STATE");
		addEventListener("online", () => this.#probe((this._wakes += 1)), this.#abort);
		addEventListener("pagehide", () => this.leave(), this.#abort);
		addEventListener("visibilitychange", () => this.#probe(), this.#abort);
		this.#run();
		this.#setToken(this._token);
		await this._until(() => this.state === "connected", this);
	}

	async leave(error = null) {
		if (this._end) return;
		this._end = error ?? fail("CLOSED");
		const links = [this.publication, ...this.subscriptions.values()].map((link) => link?.close());
		clearTimeout(this._expiryTimer);
		this.#abort.abort();
		this._changed();
		this.#change("closed");
		if (error) this._emit("disconnected", { code: error.code, reason: error.message });
		await Promise.all(links);
	}

	async publish(source, { audioBitrate, ...options } = {}) {
		if (this.publication) throw fail("INVALID_STATE");
		const tracks = { audio: null, video: null };
		for (const track of source.getTracks?.() ?? source) tracks[track.kind] = track;
		const layers = { audio: audioBitrate ? [{ maxBitrate: audioBitrate }] : [], video: encodings(tracks.video, options) };
		this.publication = new Link(this, {
			event: "publicationchange",
			path: "",
			tracks,
			isWanted: () => true,
			isTaken: () => this.self?.isPublishing,
			forget: () => (this.publication = null),
			// Both kinds, so that replaceTrack can add the other one later.
			prepare: (peer) => {
				for (const kind of KINDS) {
					peer.addTransceiver(tracks[kind] ?? kind, { direction: "sendonly", sendEncodings: layers[kind] });
				}
			},
		});
		this.setMuted({});
		await this.publication.open();
	}

	async unpublish() {
		await this.publication?.close();
	}

	async replaceTrack(kind, track) {
		if (!this.publication) throw fail("INVALID_STATE");
		const { tracks, peer } = this.publication;
		tracks[kind] = track;
		this.setMuted({});
		await peer?.getSenders()[KINDS.indexOf(kind)].replaceTrack(track);
	}

	setMuted({ audio = this.muted.audio, video = this.muted.video }) {
		this.muted = { audio, video };
		for (const [kind, track] of Object.entries(this.publication?.tracks ?? {})) {
			if (track) track.enabled = !this.muted[kind];
		}
		this.#announce();
	}

	async subscribe(id, options = {}) {
		const { participants, subscriptions } = this;
		const stream = new MediaStream();
		// Video with its first packet: a video element plays no sound before the first frame of a video track.
		const show = async (peer, receiver) => {
			const { track } = receiver;
			while (peer === link.peer) {
				if (track.kind === "audio" || receiver.getSynchronizationSources().length) return stream.addTrack(track);
				await this._until(() => peer !== link.peer, link, 200).catch(() => {});
			}
		};
		const link = subscriptions.get(id) ?? new Link(this, {
			event: "subscriptionchange",
			members: { participantId: id, stream },
			stream,
			path: `/subscribe/${id}`,
			isWanted: () => {
				const isPublishing = !!participants.get(id)?.isPublishing;
				link.wasSeen ||= isPublishing;
				return isPublishing || !link.wasSeen;
			},
			forget: () => subscriptions.delete(id),
			prepare: (peer) => {
				for (const kind of KINDS) if (options[kind] !== false) peer.addTransceiver(kind, { direction: "recvonly" });
			},
			connected: (peer) => {
				for (const old of stream.getTracks()) stream.removeTrack(old);
				for (const receiver of peer.getReceivers()) show(peer, receiver);
				if (link.choice) this.selectLayer(id, ...link.choice).catch(() => {});
			},
		});
		subscriptions.set(id, link);
		await link.open();
		return link.stream;
	}

	async unsubscribe(id) {
		await this.subscriptions.get(id)?.close();
	}

	async layers(id) {
		return (await (await this.#requestLayers(id)).json()).layers;
	}

	async selectLayer(id, encodingId, mode) {
		const link = this.subscriptions.get(id);
		// Video and audio can be stopped without simulcast, too.
		const url = encodingId === null && link?.location ? `${link.location}/layers` : undefined;
		await this.#requestLayers(id, JSON.stringify({ encodingId, mode }), url);
		link.choice = [encodingId, mode];
	}

	async exchangeToken(token) {
		if (this.state !== "connected") throw fail("INVALID_STATE");
		this.#send({ type: "EXCHANGE_TOKEN", token });
		await new Promise((resolve, reject) => this.#exchanges.push({ resolve, reject }));
		this.#setToken(token);
		const error = fail("INSUFFICIENT_CAPABILITIES");
		if (!this.capabilities.publish) this.publication?.close(error);
		if (!this.capabilities.subscribe) for (const each of this.subscriptions.values()) each.close(error);
	}

	async stats() {
		const publication = this.publication && (await statsOf(this.publication));
		const subscriptions = [...this.subscriptions].map(async ([id, link]) => [id, await statsOf(link)]);
		return { publication, subscriptions: new Map(await Promise.all(subscriptions)) };
	}

	// Whether the condition held in time.
	async _until(condition, owner, timeoutMs) {
		let isLate = false;
		const timer = timeoutMs && setTimeout(() => this._changed((isLate = true)), timeoutMs);
		const end = () => owner._end ?? this._end;
		while (!end() && !isLate && !condition()) await this._change;
		clearTimeout(timer);
		if (end()) throw end();
		return !isLate;
	}

	_changed = () => {
		this._notify?.();
		this._change = new Promise((resolve) => (this._notify = resolve));
	};

	_emit(type, members) {
		this.dispatchEvent(Object.assign(new Event(type), members));
	}

	async _request(method, url, { type, match, ...init }) {
		const headers = { Authorization: `Bearer ${this._token}` };
		if (type) headers["Content-Type"] = type;
		if (match) headers["If-Match"] = match;
		const signal = AbortSignal.timeout(MS.answer);
		const response = await fetch(url, { method, headers, signal, ...init }).catch(({ message }) => {
			throw fail("NETWORK", message);
		});
		if (response.ok) return response;
		const { code = `HTTP_${response.status}`, message } = await response.json().catch(() => ({}));
		throw fail(code, message, response.status, +response.headers.get("Retry-After"));
	}

	async #requestLayers(id, body, url = this.subscriptions.get(id)?.layersUrl) {
		if (!url) throw fail("NO_LAYERS");
		return this._request(body ? "POST" : "GET", url, { type: "application/json", body });
	}

	#setToken(token) {
		const claims = claimsOf(token);
		const { allow_publish: publish = false, allow_subscribe: subscribe = false } = claims.capabilities ?? {};
		const expiresAt = new Date(claims.exp * 1000);
		Object.assign(this, { _token: token, _claims: claims, participantId: claims.jti, expiresAt });
		this.capabilities = { publish, subscribe };
		clearTimeout(this._expiryTimer);
		if (this.state === "new") return;
		const notify = () => this._emit("tokenexpiring", { expiresAt });
		this._expiryTimer = setTimeout(notify, expiresAt - Date.now() - MS.notice);
	}

	#change(state) {
		if (this.state !== state) this._emit("statechange", { state: (this.state = state) });
	}

	async #run() {
		this.#change("connecting");
		for (this._failures = 0; ; this._failures += 1) {
			const { code, reason } = await this.#serveSocket();
			for (const { reject } of this.#exchanges.splice(0)) reject(fail("CONNECTION_LOST"));
			const farewell = FAREWELLS[code - 4001] ?? (this._failures >= FIRST_ATTEMPTS && !this.#number && "CONNECTION_FAILED");
			if (farewell) this.leave(fail(farewell, reason));
			if (this.#number && !this._end) this.#change("reconnecting");
			const wakes = this._wakes;
			await this._until(() => this._wakes !== wakes, this, backoffMs(this._failures)).catch(() => {});
			if (this._end) return;
		}
	}

	#serveSocket() {
		return new Promise((resolve) => {
			const socket = new WebSocket(`${this._claims.events}?error_over_ws=1`, [this._token, "stage-state-changes"]);
			let timer;
			const finish = (result) => {
				clearTimeout(timer);
				socket.onmessage = socket.onclose = null;
				socket.close();
				resolve(result);
			};
			this._expect = (timeoutMs) => {
				clearTimeout(timer);
				timer = setTimeout(finish, timeoutMs, {});
			};
			this._socket = socket;
			this._expect(MS.answer);
			this.#abort.signal.onabort = socket.onclose = finish;
			socket.onmessage = ({ data }) => {
				this._expect(MS.silence);
				const { type, payload } = JSON.parse(data);
				if (/^STAGE_STATE/.test(type)) this.#receiveState(payload, finish);
				const error = payload?.code && fail(payload.code, payload.message);
				if (type.endsWith("JOIN_ERROR")) this.leave(error);
				if (type === "TOKEN_EXCHANGED") this.#exchanges.shift()?.resolve();
				if (type === "EXCHANGE_TOKEN_ERROR") this.#exchanges.shift()?.reject(error);
			};
		});
	}

	#receiveState({ sequenceNumber, baseSequenceNumber, participants, joined = participants, updated = [], left }, finish) {
		if (!participants && sequenceNumber <= this.#number) return;
		if (!participants && baseSequenceNumber > this.#number) return finish({}); // a change was missed
		const ids = new Set(joined.map(({ id }) => id));
		this.#remove(left ?? [...this.participants.keys()].filter((id) => !ids.has(id)));
		for (const each of [...updated, ...joined]) this.#show(each);
		this.#number = sequenceNumber;
		this._failures = 0;
		if (this.state !== "connected") {
			this._wakes += 1; // the server may have lost the media, too
			this.#change("connected");
			this.#announce();
		}
		for (const [name, participant] of this.#news.splice(0)) this._emit(name, { participant });
		this._changed();
	}

	#show({ id, userId = "", attributes = {}, isPublishing = false, audioMuted = false, videoStopped = false }) {
		const shown = { id, userId, attributes, isPublishing, audioMuted, videoStopped };
		if (id === this.participantId) return void (this.self = shown);
		const old = this.participants.get(id);
		this.participants.set(id, shown);
		const note = (isTrue, name) => isTrue && this.#news.push([name, shown]);
		note(!old, "participantjoined");
		note(old && JSON.stringify([old.userId, old.attributes]) !== JSON.stringify([userId, attributes]), "metadatachanged");
		note(isPublishing && !old?.isPublishing, "publishstarted");
		note(!isPublishing && old?.isPublishing, "publishstopped");
		note(old && (old.audioMuted !== audioMuted || old.videoStopped !== videoStopped), "mutechanged");
	}

	#remove(ids) {
		for (const id of ids) {
			const old = this.participants.get(id);
			if (!this.participants.delete(id)) continue;
			if (old.isPublishing) this.#news.push(["publishstopped", old]);
			this.#news.push(["participantleft", old]);
		}
	}

	// A kind that is not published counts as muted.
	#announce() {
		if (this.state !== "connected" || !this.publication) return;
		const [audioMuted, videoStopped] = KINDS.map((kind) => this.muted[kind] || !this.publication.tracks[kind]);
		this.#send({ type: "SET_STATE", version: "0", audioMuted, videoStopped });
	}

	#send(message) {
		if (this._socket.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(message));
	}

	#probe() {
		this._changed();
		if (this.state !== "connected") return;
		this.#send({ type: "PING" });
		this._expect(MS.probe);
	}
}

function claimsOf(token) {
	try {
		const claims = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
		return { ...claims, events: `${new URL(claims.events_url)}/${claims.topic}` };
	} catch {
		throw fail("TOKEN_MALFORMED");
	}
}

function encodings(track, { simulcast, maxBitrate = 2_500_000 }) {
	const { width = 1280, height = 720 } = track?.getSettings() ?? {};
	const layers = LAYERS.filter(([, scale]) => simulcast && Math.min(width, height) / scale >= 170);
	if (layers.length < 2) return [{ maxBitrate }];
	return layers.map(([rid, scale, share]) => ({ rid, scaleResolutionDownBy: scale, maxBitrate: maxBitrate * share }));
}

// The STUN and TURN servers of a response (RFC 9725 section 4.6).
function iceServersOf(links) {
	return [...(links ?? "").matchAll(ICE_LINK)].map(([, urls, attributes]) => {
		const value = (name) => RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1];
		return { urls, username: value("username"), credential: value("credential") };
	});
}

// The ICE part of a description as an SDP fragment (RFC 8840).
function fragmentOf(sdp) {
	const [session, first] = sdp.split(/^(?=m=)/m);
	const lines = /^(m=|a=(group:BUNDLE|(ice-options|mid|ice-ufrag|ice-pwd|candidate):)).*\r\n/gm;
	return (session + first).match(lines).join("");
}

function withFragment(sdp, fragment) {
	const lines = fragment.match(/^a=(ice-ufrag|ice-pwd|candidate):.*\r\n/gm).join("");
	return sdp.replace(/^a=(ice-ufrag|candidate):.*\r\n/gm, "").replace(/^a=ice-pwd:.*\r\n/gm, lines);
}

async function statsOf({ peer }) {
	if (!peer) return [];
	const samples = (peer._samples ??= new Map());
	const report = await peer.getStats();
	const all = [...report.values()];
	const pair = all.find(({ nominated }) => nominated);
	return all.filter(({ type }) => /^(in|out)bound-rtp$/.test(type)).map((entry) => {
		const { id, kind, rid, timestamp, framesPerSecond, frameWidth: width, frameHeight: height } = entry;
		const receiver = all.find(({ type, localId }) => type === "remote-inbound-rtp" && localId === id) ?? entry;
		const { packetsLost = 0, jitter: jitterSeconds, roundTripTime: rttSeconds = pair?.currentRoundTripTime } = receiver;
		const packets = entry.packetsSent ?? entry.packetsReceived + packetsLost;
		const sample = [timestamp, entry.bytesSent ?? entry.bytesReceived, packets, packetsLost];
		const last = samples.get(id) ?? sample;
		samples.set(id, sample);
		const [ms, newBytes, newPackets, newLost] = sample.map((value, index) => value - last[index]);
		return {
			...{ kind, rid, width, height, framesPerSecond, packetsLost, jitterSeconds, rttSeconds },
			codec: report.get(entry.codecId)?.mimeType.split("/")[1],
			bitrate: Math.round((newBytes * 8000) / ms) || 0,
			lossShare: newLost / newPackets || 0,
			frames: entry.framesSent ?? entry.framesDecoded,
		};
	});
}
