// One participant of one session: its events, and how to read them elsewhere. SPDX-License-Identifier: Apache-2.0

import { call, listAll } from "../api.js";
import { listEventsCode, listEventsCommand } from "../commands.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { Connections } from "../components/connections.js";
import { COLUMNS, RecordingPlace } from "../components/event_cells.js";
import { Badge, CopyButton, Definitions, Empty, Identifier, LiveState, Loaded, RecordingBadge, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { useData, usePaced } from "../data.js";
import { searchEvents } from "../events.js";
import { useLiveEvents } from "../live_events.js";
import { overviewLink, sessionLink, stageLink } from "../router.js";
import { stageArn } from "../stages.js";
import { html, useState } from "../vendor/vendor.js";

const PACE_MS = 500;
const EVENTS_LIMIT = 1_000;
const EVENT_COLUMNS = ["time", "name", "about", "cause", "detail", "position"].map((each) => COLUMNS[each]);

export function ParticipantPage({ stageId, sessionId, participantId, identity }) {
	const load = async (signal) => {
		const arn = stageArn(stageId, identity);
		const ids = { stageArn: arn, sessionId, participantId };
		const [found, book] = await Promise.all([
			// The stage may have been deleted; its events stay.
			call("GetParticipant", ids, signal).catch((error) => (error.status === 404 ? { participant: null } : Promise.reject(error))),
			searchEvents({ stage: arn, session: sessionId, participant: participantId }, { limit: EVENTS_LIMIT, signal }),
		]);
		return { arn, participant: found.participant, events: book.events, hasMore: book.hasMore };
	};
	const state = useData(load, [stageId, sessionId, participantId]);
	const refresh = usePaced(state.reload, PACE_MS);
	const live = useLiveEvents({ session: sessionId, participant: participantId }, refresh, refresh);
	const userId = state.data?.participant?.userId || state.data?.events[0]?.userId;
	return html`
		<${Breadcrumbs} links=${[["Overview", overviewLink()], [`Stage ${stageId}`, stageLink(stageId)], [`Session ${sessionId}`, sessionLink(sessionId)]]} />
		<div class="heading">
			<h1 tabindex="-1">${userId || `Participant ${participantId}`}</h1>
			<${ParticipantState} participant=${state.data?.participant} />
			<${LiveState} state=${live} />
		</div>
		<div class="subheading"><${Identifier} text=${participantId} what="participant id" /></div>
		<${Loaded} state=${state} what="Loading the participant">
			${({ arn, participant, events, hasMore }) => html`
				${participant && html`<${Description} participant=${participant} />`}
				${participant?.state === "CONNECTED" && html`<${Connections} stageArn=${arn} participantId=${participantId} />`}
				<${Events} ids=${{ stageArn: arn, sessionId, participantId }} events=${events} hasMore=${hasMore} identity=${identity} />
			`}
		<//>
	`;
}

function ParticipantState({ participant }) {
	if (!participant) return null;
	const isConnected = participant.state === "CONNECTED";
	return html`<span class="badges">
		<${Badge} tone=${isConnected ? "green" : "grey"}>${isConnected ? "connected" : "disconnected"}<//>
		${participant.published && html`<${Badge} tone="blue">has published<//>`}
		${participant.replicationType === "REPLICA" && html`<${Badge} tone="purple">replica<//>`}
		<${RecordingBadge} state=${participant.recordingState} />
	</span>`;
}

function Description({ participant }) {
	const { userId, firstJoinTime, protocol, browserName, browserVersion, osName, osVersion, ispName, sdkVersion, recordingS3BucketName: bucket, recordingS3Prefix: prefix, attributes = {} } = participant;
	const words = (...parts) => parts.filter(Boolean).join(" ");
	return html`<section class="card" aria-labelledby="description-heading">
		<header><h2 id="description-heading">Participant</h2></header>
		<${Definitions} entries=${[
			["User id", userId],
			["First joined", firstJoinTime && html`<${Time} iso=${firstJoinTime} />`],
			["Protocol", protocol],
			["Browser", words(browserName, browserVersion)],
			["Operating system", words(osName, osVersion)],
			["Provider", ispName],
			["SDK", sdkVersion],
			["Recording", prefix && html`<${RecordingPlace} bucket=${bucket} prefix=${prefix} />`],
			...Object.entries(attributes).map(([key, value]) => [html`Attribute <code>${key}</code>`, value]),
		]} />
	</section>`;
}

function Events({ ids, events, hasMore, identity }) {
	const request = { ...ids, endpointUrl: identity.endpointUrl ?? location.origin };
	return html`
		<section class="card flush" aria-labelledby="events-heading">
			<header>
				<h2 id="events-heading">Events</h2>
				<span class="muted">newest first</span>
				<div class="actions">
					<${CopyButton} text=${listEventsCommand(request)} what="AWS CLI command" label="AWS CLI" />
					<${CopyButton} text=${listEventsCode(request)} what="boto3 code" label="boto3" />
				</div>
			</header>
			${events.length
				? html`<${Table} caption="Events of the participant" columns=${EVENT_COLUMNS} groups=${[events]} keyOf=${(event) => event.id} />`
				: html`<${Empty} title="The participant has no event">It has neither joined nor tried to.<//>`}
			${hasMore && html`<p class="more muted">Only the newest ${EVENTS_LIMIT} events are shown.</p>`}
		</section>
		<${AwsAnswer} ids=${ids} events=${events} />
	`;
}

// The answer of ListParticipantEvents, loaded when it is opened, and again when there are new events.
function AwsAnswer({ ids, events }) {
	const [isOpen, setOpen] = useState(false);
	const newest = events[0]?.id;
	const load = async (signal) => (isOpen ? (await listAll("ListParticipantEvents", ids, "events", { limit: EVENTS_LIMIT, signal })).items : []);
	const state = useData(load, [isOpen, newest]);
	const text = state.data && JSON.stringify({ events: state.data }, null, 2);
	return html`<section class="card" aria-labelledby="aws-heading">
		<header>
			<h2 id="aws-heading">As AWS returns it</h2>
			<span class="muted">ListParticipantEvents</span>
			<div class="actions">
				${isOpen && text && html`<${CopyButton} text=${text} what="JSON" label="Copy the JSON" />`}
				<button type="button" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${isOpen ? "Hide" : "Show"}</button>
			</div>
		</header>
		${isOpen && html`<${Loaded} state=${state} what="Loading the events">${() => html`<pre tabindex="0" aria-label="JSON"><code>${text}</code></pre>`}<//>`}
	</section>`;
}
