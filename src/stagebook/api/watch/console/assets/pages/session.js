// One session: its totals, its timeline and its newest events. SPDX-License-Identifier: Apache-2.0

import { get } from "../api.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { COLUMNS } from "../components/event_cells.js";
import { Badge, Definitions, Empty, Identifier, Loaded, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { Timeline } from "../components/timeline/timeline.js";
import { useData, usePaced } from "../data.js";
import { between, number, plural } from "../format.js";
import { idOf, overviewLink, searchLink, stageLink } from "../router.js";
import { html } from "../vendor/vendor.js";

const PACE_MS = 2_000;
const EVENTS_LIMIT = 50;
const EVENT_COLUMNS = [COLUMNS.time, COLUMNS.name, COLUMNS.participant, COLUMNS.about, COLUMNS.cause];

export function SessionPage({ sessionId }) {
	const path = `/sessions/${encodeURIComponent(sessionId)}`;
	const load = async (signal) => {
		const [report, book] = await Promise.all([
			get(path, { limit: 1 }, signal),
			get("/events", { session: sessionId, limit: EVENTS_LIMIT }, signal),
		]);
		return { ...report, events: book.events, hasMore: Boolean(book.nextCursor) };
	};
	const state = useData(load, [sessionId]);
	const refresh = usePaced(state.reload, PACE_MS);
	const session = state.data?.session;
	return html`
		<${Breadcrumbs} links=${[["Overview", overviewLink()], ...(session ? [[`Stage ${session.stageName || idOf(session.stageArn)}`, stageLink(session.stageArn, "sessions")]] : [])]} />
		<div class="heading">
			<h1 tabindex="-1">Session ${sessionId}</h1>
			${session && html`<${Badge} tone=${session.endTime ? "grey" : "green"}>${session.endTime ? "ended" : "open"}<//>`}
			${session && html`<div class="actions"><a class="button" href=${`/watch/v1${path}/attendance`} download=${`${sessionId}.csv`}>Attendance as CSV</a></div>`}
		</div>
		<div class="subheading">
			<${Identifier} text=${sessionId} what="session id" />
			${session && html`<a href=${stageLink(session.stageArn, "compositions")}>Compositions of the stage</a>`}
		</div>
		<${Loaded} state=${state} what="Loading the session">${(data) => data.totals && html`<${Totals} session=${data.session} totals=${data.totals} />`}<//>
		${session && html`<${Timeline} sessionId=${sessionId} onEvents=${session.endTime ? undefined : refresh} />`}
		${session && html`<${NewestEvents} events=${state.data.events} hasMore=${state.data.hasMore} sessionId=${sessionId} />`}
	`;
}

function Totals({ session, totals }) {
	const errors = Object.values(totals.errorCounts).reduce((sum, count) => sum + count, 0);
	const minutes = (value) => `${number(Math.round(value * 10) / 10)} min`;
	const peak = ({ number: most, time }) => html`${number(most)} ${time && html`<span class="muted">at <${Time} iso=${time} isShort /></span>`}`;
	return html`<section class="card" aria-label="Totals">
		<${Definitions}
			entries=${[
				["Start", html`<${Time} iso=${session.startTime} />`],
				["End", session.endTime ? html`<${Time} iso=${session.endTime} />` : html`<${Badge} tone="green">open<//>`],
				["Duration", between(session.startTime, session.endTime)],
				["Participants", number(totals.participants)],
				["Most at once", peak(totals.peakParticipants)],
				["Most publishers at once", peak(totals.peakPublishers)],
				["Published", minutes(totals.publisherMinutes)],
				["Watched", minutes(totals.subscriberMinutes)],
				["Events", number(totals.events)],
				["Errors", errors ? html`<a href=${searchLink({ session: session.sessionId, error: "any" })}>${plural(errors, "error")}</a>` : "none"],
			]}
		/>
	</section>`;
}

function NewestEvents({ events, hasMore, sessionId }) {
	return html`<section class="card flush" aria-labelledby="events-heading">
		<header>
			<h2 id="events-heading">Newest events</h2>
			${hasMore && html`<a class="end" href=${searchLink({ session: sessionId })}>All events</a>`}
		</header>
		${events.length
			? html`<${Table} caption="Events of the session" columns=${EVENT_COLUMNS} groups=${[events]} keyOf=${({ id }) => id} />`
			: html`<${Empty} title="There is no event">They were deleted by their age.<//>`}
	</section>`;
}
