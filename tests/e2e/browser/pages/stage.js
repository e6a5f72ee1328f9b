// How a web page takes part in a stage, with nothing but the browser's own interfaces: fetch for WHIP and for
// subscribing, RTCPeerConnection for the media, WebSocket for the events.

"use strict";

// One publication or one subscription: an offer, its answer, and the resource that both made (RFC 9725).
class StageConnection {
  constructor(url, token) {
    this.url = url;
    this.token = token;
    this.peer = new RTCPeerConnection();
    this.connections = [];
    this.peer.onconnectionstatechange = () => this.connections.push(this.peer.connectionState);
  }

  // Closed as soon as the server has said goodbye; `connectionState` takes seconds longer.
  get transportState() {
    return this.peer.getTransceivers()[0].sender.transport?.state;
  }

  async open() {
    await this.accept(await this.offer());
  }

  // Sends the offer and returns the answer.
  async offer() {
    await this.peer.setLocalDescription();
    const response = await this.request("POST", this.url, 201, {
      headers: { "Content-Type": "application/sdp" },
      body: this.peer.localDescription.sdp,
    });
    this.location = new URL(response.headers.get("Location"), response.url).href;
    this.iceSession = response.headers.get("ETag");
    return response.text();
  }

  async accept(answer) {
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer });
  }

  // Tells the server the candidates that were gathered.
  async trickle() {
    await this.patch(204, this.iceSession);
  }

  async restartIce() {
    this.peer.restartIce();
    await this.peer.setLocalDescription();
    const response = await this.patch(200, "*");
    this.iceSession = response.headers.get("ETag");
    await this.accept(withFragment(this.peer.currentRemoteDescription.sdp, await response.text()));
  }

  async close() {
    await this.request("DELETE", this.location, 200);
    this.peer.close();
  }

  // How much has arrived by the path in use, if that is one of the newest ICE session.
  async bytesOnNewestPath() {
    const report = await this.peer.getStats();
    const transport = [...report.values()].find(({ type }) => type === "transport");
    const pair = report.get(transport.selectedCandidatePairId);
    const local = pair && report.get(pair.localCandidateId);
    const isNewest = !!local && this.peer.localDescription.sdp.includes(`a=ice-ufrag:${local.usernameFragment}\r\n`);
    return isNewest ? pair.bytesReceived : 0;
  }

  patch(expected, iceSession) {
    return this.request("PATCH", this.location, expected, {
      headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": iceSession },
      body: fragmentOf(this.peer.localDescription.sdp),
    });
  }

  async request(method, url, expected, { headers = {}, body } = {}) {
    const response = await fetch(url, { method, headers: { Authorization: `Bearer ${this.token}`, ...headers }, body });
    if (response.status !== expected) {
      throw new Error(`${response.status} ${(await response.json()).code}`);
    }
    return response;
  }

  // The first statistics of a type that have these members.
  async stats(type, members = {}) {
    const wanted = Object.entries(members);
    for (const entry of (await this.peer.getStats()).values()) {
      if (entry.type === type && wanted.every(([name, value]) => entry[name] === value)) return entry;
    }
    return null;
  }
}

class Publisher extends StageConnection {
  // `camera` and `microphone` are getUserMedia's constraints, false for none; `sections` are further media sections, as
  // [kind, direction]; with a `codec` the offer has no other for video; `layers` are simulcast's encodings.
  async prepare({ camera, microphone, sections = [], codec = null, layers = [] }) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: camera, audio: microphone });
    for (const track of stream.getTracks()) {
      const sendEncodings = track.kind === "video" ? layers : [];
      const { sender } = this.peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
      // On a busy machine: fewer pictures rather than smaller ones.
      await sender.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" });
    }
    for (const [kind, direction] of sections) {
      this.peer.addTransceiver(kind, { direction });
    }
    if (codec !== null) {
      const codecs = RTCRtpSender.getCapabilities("video").codecs;
      this.transceiver("video").setCodecPreferences(
        codecs.filter(({ mimeType }) => [`video/${codec}`, "video/rtx"].includes(mimeType)),
      );
    }
  }

  transceiver(kind) {
    return this.peer.getTransceivers().find(({ sender }) => sender.track?.kind === kind);
  }

  async setLayerActive(rid, active) {
    const sender = this.transceiver("video").sender;
    const parameters = sender.getParameters();
    parameters.encodings.find((encoding) => encoding.rid === rid).active = active;
    await sender.setParameters(parameters);
  }

  // Sends no more pictures; the connection stays.
  async freeze() {
    await this.transceiver("video").sender.replaceTrack(null);
  }
}

class Viewer extends StageConnection {
  constructor(url, token, kinds = ["audio", "video"]) {
    super(url, token);
    this.stream = new MediaStream();
    this.peer.ontrack = ({ track }) => this.stream.addTrack(track);
    for (const kind of kinds) {
      this.peer.addTransceiver(kind, { direction: "recvonly" });
    }
  }
}

// What the events websocket shows.
class StageEvents {
  constructor(url, token) {
    this.participants = [];
    this.socket = new WebSocket(url, [token]);
    this.socket.onmessage = ({ data }) => {
      const { type, payload } = JSON.parse(data);
      if (type === "STAGE_STATE") this.participants = payload.participants;
    };
  }

  close() {
    this.socket.close();
  }
}

// The ICE part of a description, as an SDP fragment (RFC 8840) for the first section of the bundle.
function fragmentOf(sdp) {
  const [session, first] = sdp.split(/^(?=m=)/m);
  const pick = (text, pattern) => text.match(pattern) ?? [];
  return [
    ...pick(session, /^a=(group:BUNDLE|ice-options:).*\r\n/gm),
    ...pick(first, /^m=.*\r\n/),
    ...pick(first, /^a=(mid|ice-ufrag|ice-pwd|candidate):.*\r\n/gm),
  ].join("");
}

// A description with the credentials and candidates of a fragment in place of its own.
function withFragment(sdp, fragment) {
  const lines = fragment.match(/^a=(ice-ufrag|ice-pwd|candidate):.*\r\n/gm).join("");
  return sdp.replace(/^a=(ice-ufrag|candidate):.*\r\n/gm, "").replace(/^a=ice-pwd:.*\r\n/gm, lines);
}
