// One session: its participants and events. SPDX-License-Identifier: Apache-2.0

import { get, listAll } from "../api.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { COLUMNS } from "../components/event_cells.js";
import { Badge, Empty, Identifier, LiveState, Loaded, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { useData, usePaced } from "../data.js";
import { plural } from "../format.js";
import { useLiveEvents } from "../live_events.js";
import { idOf, overviewLink, participantLink, searchLink, stageLink } from "../router.js";
import { html } from "../vendor/vendor.js";

const PACE_MS = 1_000;
const EVENTS_LIMIT = 200;
const EVENT_COLUMNS = [COLUMNS.time, COLUMNS.name, COLUMNS.participant, COLUMNS.about, COLUMNS.cause];

export function SessionPage({ sessionId }) {
	const load = async (signal) => {
		const book = await get("/events", { session: sessionId, limit: EVENTS_LIMIT }, signal);
		const stage = book.events[0]?.stageArn;
		const list = (operation) => listAll(operation, { stageArn: stage, sessionId }, "participants", { limit: 1_000, signal });
		// The stage may have been deleted; its events stay.
		const participants = stage ? await list("ListParticipants").catch(() => ({ items: [] })) : { items: [] };
		return { stage, events: book.events, hasMore: Boolean(book.cursor), participants: participants.items };
	};
	const state = useData(load, [sessionId]);
	const refresh = usePaced(state.reload, PACE_MS);
	const live = useLiveEvents({ session: sessionId }, refresh);
	const stage = state.data?.stage;
	return html`
		<${Breadcrumbs} links=${[["Overview", overviewLink()], ...(stage ? [[`Stage ${idOf(stage)}`, stageLink(stage, "sessions")]] : [])]} />
		<div class="heading">
			<h1 tabindex="-1">Session ${sessionId}</h1>
			<${LiveState} state=${live} />
		</div>
		<div class="subheading"><${Identifier} text=${sessionId} what="session id" /></div>
		<${Loaded} state=${state} what="Loading the session">${(data) => html`<${Content} data=${data} sessionId=${sessionId} />`}<//>
	`;
}

function Content({ data, sessionId }) {
	const { stage, participants, events, hasMore } = data;
	if (!events.length) return html`<section class="card"><${Empty} title="There is no such session">It has no event in the book of this account.<//></section>`;
	const columns = [
		{ title: "Participant", render: (each) => html`<a href=${participantLink(stage, sessionId, each.participantId)}>${each.userId || each.participantId}</a>${each.userId && html` <code class="muted">${each.participantId}</code>`}` },
		{ title: "State", render: ({ state }) => html`<${Badge} tone=${state === "CONNECTED" ? "green" : "grey"}>${state.toLowerCase()}<//>` },
		{ title: "Published", render: ({ published }) => (published ? html`<${Badge} tone="blue">yes<//>` : html`<span class="muted">no</span>`) },
		{ title: "First joined", render: ({ firstJoinTime }) => html`<${Time} iso=${firstJoinTime} />` },
	];
	return html`
		<section class="card flush" aria-labelledby="participants-heading">
			<header><h2 id="participants-heading">Participants</h2><span class="muted end">${plural(participants.length, "participant")}</span></header>
			${participants.length
				? html`<${Table} caption="Participants of the session" columns=${columns} groups=${[participants]} keyOf=${({ participantId }) => participantId} />`
				: html`<${Empty} title="The participants are not listed any more">The stage was deleted. Its events stay in the book.<//>`}
		</section>
		<section class="card flush" aria-labelledby="events-heading">
			<header><h2 id="events-heading">Events</h2><span class="muted">newest first</span>
				${hasMore && html`<a class="end" href=${searchLink({ session: sessionId })}>All events</a>`}</header>
			<${Table} caption="Events of the session" columns=${EVENT_COLUMNS} groups=${[events]} keyOf=${({ id }) => id} />
		</section>
	`;
}
