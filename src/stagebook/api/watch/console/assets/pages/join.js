// Joining a stage from this browser. SPDX-License-Identifier: Apache-2.0

import { call } from "../api.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { Badge, Check, Field, Loaded, Problem } from "../components/parts.js";
import { useData } from "../data.js";
import { overviewLink, stageLink } from "../router.js";
import { stageArn } from "../stages.js";
import { Stage } from "../stagebook-client.js";
import { html, useEffect, useRef, useState } from "../vendor/vendor.js";
import { ConnectionStatistics } from "./join/connection_statistics.js";
import { openSource, SOURCES } from "./join/media_sources.js";

const TOKEN_MINUTES = 720;

export function JoinPage({ stageId, identity }) {
	const state = useData(async (signal) => (await call("GetStage", { arn: stageArn(stageId, identity) }, signal)).stage, [stageId]);
	const name = state.data?.name || stageId;
	return html`
		<${Breadcrumbs} links=${[["Overview", overviewLink()], [`Stage ${name}`, stageLink(stageId)]]} />
		<div class="heading"><h1 tabindex="-1">Join ${name}</h1></div>
		<${Loaded} state=${state} what="Loading the stage">${(stage) => html`<${Participation} stage=${stage} />`}<//>
	`;
}

// Either the form, or the stage that was joined.
function Participation({ stage }) {
	const [joined, setJoined] = useState(null);
	const [error, setError] = useState(null);
	const [isBusy, setBusy] = useState(false);
	const current = useRef(null);
	useEffect(() => () => current.current?.end(), []);
	const join = async (event) => {
		event.preventDefault();
		const form = new FormData(event.target);
		setBusy(true);
		setError(null);
		let source = null;
		try {
			source = await openSource(form.get("source"));
			const session = await joinStage({ arn: stage.arn, userId: form.get("userId"), source, simulcast: form.has("simulcast") });
			current.current = session;
			session.client.addEventListener("disconnected", ({ code, reason }) => {
				setError(new Error(`The server has ended the participation: ${reason || code}.`));
				leave();
			});
			setJoined(session);
		} catch (failure) {
			source?.stop();
			setError(failure);
		}
		setBusy(false);
	};
	const leave = () => {
		current.current?.end();
		current.current = null;
		setJoined(null);
	};
	if (joined) return html`<${Joined} session=${joined} onLeave=${leave} />`;
	return html`<section class="card" aria-labelledby="join-heading">
		<h2 id="join-heading" class="visually-hidden">How to join</h2>
		${error && html`<${Problem} error=${error} />`}
		<form onSubmit=${join}>
			<${Field} label="User id"><input name="userId" maxlength="128" defaultValue="console" autocomplete="off" /><//>
			<fieldset>
				<legend>Publish</legend>
				${Object.entries(SOURCES).map(
					([name, { label, hint }]) => html`<label class="check" key=${name}>
						<input type="radio" name="source" value=${name} defaultChecked=${name === "picture"} /><span>${label} <span class="muted">${hint}</span></span>
					</label>`,
				)}
			</fieldset>
			<${Check} name="simulcast" label="Send several layers of the video (simulcast)" />
			<p></p>
			<button type="submit" class="primary" disabled=${isBusy}>${isBusy ? "Joining …" : "Join"}</button>
		</form>
		<p class="hint">The page creates a token that is valid for 12 hours, and joins as an ordinary participant.</p>
	</section>`;
}

// Creates a token, joins with it and publishes the source, if there is one.
async function joinStage({ arn, userId, source, simulcast }) {
	const { participantToken } = await call("CreateParticipantToken", {
		stageArn: arn,
		duration: TOKEN_MINUTES,
		capabilities: ["PUBLISH", "SUBSCRIBE"],
		...(userId && { userId }),
	});
	const client = new Stage(participantToken.token);
	const end = () => {
		client.leave().catch(() => {});
		source?.stop();
	};
	try {
		await client.join();
		if (source) {
			await client.publish(source.stream, { simulcast });
			source.onEnded(() => client.unpublish());
		}
	} catch (error) {
		end();
		throw error;
	}
	return { client, source, end, userId };
}

function Joined({ session, onLeave }) {
	const { client, source } = session;
	const [, setCount] = useState(0);
	useEffect(() => {
		const update = () => setCount((count) => count + 1);
		const types = ["participantjoined", "participantleft", "publishstarted", "publishstopped", "mutechanged", "statechange", "publicationchange", "subscriptionchange"];
		for (const type of types) client.addEventListener(type, update);
		return () => types.forEach((type) => client.removeEventListener(type, update));
	}, [client]);
	const mute = (kind) => {
		client.setMuted({ [kind]: !client.muted[kind] });
		setCount((count) => count + 1);
	};
	const publishers = [...client.participants.values()].filter(({ isPublishing }) => isPublishing);
	const others = client.participants.size;
	return html`
		<div class="card">
			<div class="heading">
				<${Badge} tone=${client.state === "connected" ? "green" : "amber"}>${client.state}<//>
				<span role="status">${others === 0 ? "Nobody else is on the stage" : `${others} other${others === 1 ? "" : "s"} on the stage, ${publishers.length} publishing`}</span>
				<div class="actions">
					${client.publication &&
					html`
						${source.stream.getAudioTracks().length > 0 && html`<button type="button" aria-pressed=${client.muted.audio} onClick=${() => mute("audio")}>Mute the sound</button>`}
						<button type="button" aria-pressed=${client.muted.video} onClick=${() => mute("video")}>Stop the video</button>
					`}
					<button type="button" class="danger" onClick=${onLeave}>Leave</button>
				</div>
			</div>
			<span class="muted">Participant <code>${client.participantId}</code></span>
		</div>
		<div class="videos">
			${client.publication && html`<${Video} key="own" title=${`${session.userId || client.participantId} (this browser)`} stream=${source.stream} state=${client.publication.state} isOwn />`}
			${publishers.map((participant) => html`<${Watched} key=${participant.id} client=${client} participant=${participant} />`)}
		</div>
		<${ConnectionStatistics} client=${client} />
	`;
}

function Watched({ client, participant }) {
	const [stream, setStream] = useState(null);
	const [error, setError] = useState(null);
	useEffect(() => {
		client.subscribe(participant.id).then(setStream, (failure) => failure.code === "CLOSED" || setError(failure));
		return () => client.unsubscribe(participant.id);
	}, [client, participant.id]);
	const state = client.subscriptions.get(participant.id)?.state ?? "closed";
	const title = participant.userId || participant.id;
	return html`<${Video} title=${title} stream=${stream} state=${state} error=${error} audioMuted=${participant.audioMuted} videoStopped=${participant.videoStopped} />`;
}

function Video({ title, stream, state, error, isOwn = false, audioMuted, videoStopped }) {
	const element = useRef(null);
	const [isSilent, setSilent] = useState(isOwn);
	useEffect(() => {
		element.current.srcObject = stream;
		// A browser may refuse sound that nobody has asked for.
		if (stream) element.current.play().catch(({ name }) => name === "NotAllowedError" && setSilent(true));
	}, [stream]);
	return html`<figure class="video">
		<video ref=${element} autoplay playsinline muted=${isSilent} aria-label=${`Video of ${title}`}></video>
		<figcaption>
			<span>${title}</span>
			${audioMuted && html`<${Badge}>muted<//>`} ${videoStopped && html`<${Badge}>video stopped<//>`}
			<span class="end"><${Badge} tone=${state === "connected" ? "green" : "amber"}>${state}<//></span>
			${!isOwn &&
			html`<button type="button" aria-pressed=${isSilent} aria-label=${`Silence ${title}`} onClick=${() => setSilent(!isSilent)}>Silence</button>`}
			${error && html`<${Problem} error=${error} />`}
		</figcaption>
	</figure>`;
}
