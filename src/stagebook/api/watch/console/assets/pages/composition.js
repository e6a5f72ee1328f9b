// One composition: its state, its destinations, its layout and its events. SPDX-License-Identifier: Apache-2.0

import { get } from "../api.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { CompositionBadge } from "../components/composition_parts.js";
import { COLUMNS } from "../components/event_cells.js";
import { CopyButton, Definitions, Empty, Identifier, LiveState, Loaded, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { useData, usePaced } from "../data.js";
import { between } from "../format.js";
import { useLiveEvents } from "../live_events.js";
import { idOf, overviewLink, stageLink } from "../router.js";
import { html } from "../vendor/vendor.js";

const PACE_MS = 500;
const EVENTS_LIMIT = 1_000;
const EVENT_COLUMNS = [COLUMNS.time, COLUMNS.name, COLUMNS.about, COLUMNS.cause, COLUMNS.position];
const DESTINATION_COLUMNS = [
	{ title: "Destination", render: ({ id, configuration }) => html`<span class="stack ids"><code>${id}</code>${configuration.name}</span>` },
	{ title: "State", render: ({ state }) => html`<${CompositionBadge} state=${state} />` },
	{ title: "Writes to", kind: "wide", render: (destination) => html`<${Place} destination=${destination} />` },
	{ title: "Start", render: ({ startTime }) => html`<${Time} iso=${startTime} isShort />` },
	{ title: "End", render: ({ endTime }) => html`<${Time} iso=${endTime} isShort />` },
];

export function CompositionPage({ compositionId }) {
	const path = `/compositions/${encodeURIComponent(compositionId)}`;
	const state = useData((signal) => get(path, { limit: EVENTS_LIMIT }, signal), [compositionId]);
	const composition = state.data?.composition;
	const refresh = usePaced(state.reload, PACE_MS);
	const live = useLiveEvents(composition && !composition.endTime ? { composition: composition.arn } : null, refresh, refresh);
	const stage = composition?.stageArn;
	return html`
		<${Breadcrumbs} links=${[["Overview", overviewLink()], ...(stage ? [[`Stage ${idOf(stage)}`, stageLink(stage, "compositions")]] : [])]} />
		<div class="heading">
			<h1 tabindex="-1">Composition ${compositionId}</h1>
			${composition && html`<${CompositionBadge} state=${composition.state} />`}
			${live !== "off" && html`<${LiveState} state=${live} />`}
		</div>
		<${Loaded} state=${state} what="Loading the composition">${(data) => html`<${Report} ...${data} />`}<//>
	`;
}

function Report({ composition, events, nextCursor }) {
	return html`
		<div class="subheading">
			<${Identifier} text=${composition.arn} what="ARN of the composition" />
			${Object.entries(composition.tags).map(([key, value]) => html`<span key=${key}>${key}: ${value}</span>`)}
		</div>
		<section class="card" aria-label="Composition">
			<${Definitions}
				entries=${[
					["Start", html`<${Time} iso=${composition.startTime} />`],
					["End", html`<${Time} iso=${composition.endTime} />`],
					["Duration", between(composition.startTime, composition.endTime)],
					...Object.entries(composition.layout).flatMap(([layout, members]) => [["Layout", layout], ...Object.entries(members).map(([name, value]) => [name, `${value}`])]),
				]}
			/>
		</section>
		<section class="card flush" aria-labelledby="destinations-heading">
			<header><h2 id="destinations-heading">Destinations</h2></header>
			<${Table} caption="Destinations of the composition" columns=${DESTINATION_COLUMNS} groups=${[composition.destinations]} keyOf=${({ id }) => id} />
		</section>
		<section class="card flush" aria-labelledby="events-heading">
			<header><h2 id="events-heading">Events</h2></header>
			${events.length
				? html`<${Table} caption="Events of the composition" columns=${EVENT_COLUMNS} groups=${[events]} keyOf=${({ id }) => id} />`
				: html`<${Empty} title="There is no event yet" />`}
			${nextCursor && html`<p class="muted">Only the first ${EVENTS_LIMIT} events are shown.</p>`}
		</section>
	`;
}

// Below which key prefix of which storage configuration's bucket, or to which channel.
function Place({ destination: { configuration, recordingPrefix } }) {
	const arn = configuration.s3?.storageConfigurationArn ?? configuration.channel?.channelArn ?? "";
	const kind = configuration.s3 ? "storage configuration" : "channel";
	return html`<span class="stack">
		<span>${kind} <${Identifier} text=${arn} what=${`ARN of the ${kind}`} /></span>
		${recordingPrefix && html`<span class="recording-place"><code>${recordingPrefix}</code><${CopyButton} text=${recordingPrefix} what="key prefix" /></span>`}
	</span>`;
}
