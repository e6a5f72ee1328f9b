// Overview: what is live now, and what went wrong lately. SPDX-License-Identifier: Apache-2.0

import { call, get } from "../api.js";
import { ParticipantName, shortError } from "../components/event_cells.js";
import { FormDialog } from "../components/dialog.js";
import { Badge, Empty, EventBadge, Field, LiveState, Loaded, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { toast } from "../components/toasts.js";
import { useData, useInterval, usePaced } from "../data.js";
import { bitrate, number, plural } from "../format.js";
import { searchEvents } from "../events.js";
import { useLiveEvents } from "../live_events.js";
import { idOf, searchLink, stageLink } from "../router.js";
import { loadStages } from "../stages.js";
import { html, useEffect, useRef, useState } from "../vendor/vendor.js";

const REFRESH_MS = 15_000;
const PACE_MS = 1_000;
const RATE_MS = 4_000; // the engines report every two seconds
const FEED_LENGTH = 12;
const ERRORS_LENGTH = 5;

async function load(signal) {
	const stages = await loadStages(signal);
	const [errors, latest] = await Promise.all([
		searchEvents({ error: "any", since: stages.since }, { limit: ERRORS_LENGTH, signal }),
		searchEvents({}, { limit: FEED_LENGTH, signal }),
	]);
	return { ...stages, errors: errors.events, latest: latest.events };
}

export function OverviewPage({ identity }) {
	const state = useData(load, []);
	const [isCreating, setCreating] = useState(false);
	const refresh = usePaced(state.reload, PACE_MS);
	const live = useLiveEvents({}, refresh, refresh);
	useInterval(refresh, REFRESH_MS);
	const isOperator = identity.role !== "reader";
	return html`
		<div class="heading">
			<h1 tabindex="-1">Overview</h1>
			<${LiveState} state=${live} />
			${isOperator && html`<div class="actions"><button type="button" class="primary" onClick=${() => setCreating(true)}>Create a stage</button></div>`}
		</div>
		<${Loaded} state=${state} what="Loading the stages">${(data) => html`<${Content} data=${data} />`}<//>
		${isCreating && html`<${CreateStageDialog} onClose=${() => setCreating(false)} />`}
	`;
}

// Bits per second that the server receives and sends, null until two readings are there.
function useMediaRate() {
	const [rate, setRate] = useState(null);
	const former = useRef(null);
	const read = async () => {
		const sum = await get("/media-traffic").catch(() => null);
		if (!sum) return setRate(null);
		const now = { ...sum, ms: performance.now() };
		const last = former.current;
		former.current = now;
		if (!last || now.sentBytes < last.sentBytes) return setRate(null); // the server has started again
		const perSecond = (member) => ((now[member] - last[member]) * 8_000) / (now.ms - last.ms);
		return setRate({ received: perSecond("receivedBytes"), sent: perSecond("sentBytes") });
	};
	useEffect(() => {
		read();
	}, []);
	useInterval(read, RATE_MS);
	return rate;
}

function Content({ data }) {
	const rate = useMediaRate();
	const { stages, hasMoreStages, errors, latest, since } = data;
	const sum = (member) => stages.reduce((total, stage) => total + stage[member], 0);
	const liveStages = stages.filter((stage) => stage.sessionId);
	return html`
		<dl class="tiles">
			<${Tile} name="Live stages" value=${number(liveStages.length)} note=${`of ${number(stages.length)}${hasMoreStages ? "+" : ""}`} />
			<${Tile} name="Participants" value=${number(sum("participants"))} />
			<${Tile} name="Publishing" value=${number(sum("publishers"))} />
			<${Tile} name="Received" value=${rate ? bitrate(rate.received) : "–"} />
			<${Tile} name="Sent" value=${rate ? bitrate(rate.sent) : "–"} />
			<${Tile} name="Errors of the last hour" value=${number(sum("errors"))} isBad=${sum("errors") > 0} />
		</dl>
		<div class="columns">
			<section class="card flush" aria-labelledby="stages-heading">
				<header><h2 id="stages-heading">Stages</h2></header>
				<${StageTable} stages=${stages} since=${since} hasMore=${hasMoreStages} />
			</section>
			<div>
				<section class="card flush" aria-labelledby="errors-heading">
					<header>
						<h2 id="errors-heading">Errors of the last hour</h2>
						${errors.length > 0 && html`<a class="end" href=${searchLink({ error: "any", since })}>All errors</a>`}
					</header>
					<${ErrorFeed} errors=${errors} />
				</section>
				<section class="card flush" aria-labelledby="latest-heading">
					<header><h2 id="latest-heading">Latest events</h2><a class="end" href=${searchLink()}>All events</a></header>
					<${EventFeed} events=${latest} />
				</section>
			</div>
		</div>
	`;
}

const Tile = ({ name, value, note, isBad }) =>
	html`<div class="tile ${isBad ? "bad" : ""}"><dt>${name}</dt><dd>${value}${note && html`<small>${note}</small>`}</dd></div>`;

function StageTable({ stages, since, hasMore }) {
	if (!stages.length) {
		return html`<${Empty} title="There is no stage yet">A stage is a room in which participants publish and watch live video. Create one here, or with <code>aws ivs-realtime create-stage</code>.<//>`;
	}
	const ordered = [...stages].sort((a, b) => Boolean(b.sessionId) - Boolean(a.sessionId) || b.participants - a.participants);
	const columns = [
		{ title: "Stage", render: ({ stageArn: arn, name }) => html`<a href=${stageLink(arn)}>${name || idOf(arn)}</a>${name && html` <code class="muted">${idOf(arn)}</code>`}` },
		{ title: "State", render: ({ sessionId }) => (sessionId ? html`<${Badge} tone="green">live<//>` : html`<${Badge}>idle<//>`) },
		{ title: "Participants", kind: "number", render: ({ participants }) => number(participants) },
		{ title: "Publishing", kind: "number", render: ({ publishers }) => number(publishers) },
		{ title: "Subscriptions", kind: "number", render: ({ subscriptions }) => number(subscriptions) },
		{
			title: "Errors, 1 h",
			kind: "number",
			render: ({ stageArn: stage, errors }) => (errors ? html`<a href=${searchLink({ stage, error: "any", since })}>${number(errors)}</a>` : "0"),
		},
	];
	return html`<${Table} caption="Stages" columns=${columns} groups=${[ordered]} keyOf=${({ stageArn: arn }) => arn} />
		${hasMore && html`<p class="more muted">Only the first ${plural(stages.length, "stage")} are shown.</p>`}`;
}

function ErrorFeed({ errors }) {
	if (!errors.length) return html`<${Empty} title="No errors" />`;
	return html`<ul class="feed">
		${errors.map(
			(event) => html`<li key=${event.id}>
				<span><${ParticipantName} event=${event} /></span>
				<${Time} iso=${event.eventTime} isShort />
				<span class="feed-text">${shortError(event)}</span>
			</li>`,
		)}
	</ul>`;
}

function EventFeed({ events }) {
	if (!events.length) return html`<${Empty} title="The book is empty">An event is written when the first participant joins a stage.<//>`;
	return html`<ul class="feed">
		${events.map(
			(event) => html`<li key=${event.id}>
				<span><${EventBadge} name=${event.name} /> <${ParticipantName} event=${event} /></span>
				<${Time} iso=${event.eventTime} isShort />
			</li>`,
		)}
	</ul>`;
}

function CreateStageDialog({ onClose }) {
	const create = async (form) => {
		const { stage } = await call("CreateStage", form.get("name") ? { name: form.get("name") } : {});
		toast("The stage was created");
		location.hash = stageLink(stage.arn);
	};
	return html`<${FormDialog} title="Create a stage" submitLabel="Create" onSubmit=${create} onClose=${onClose}>
		<${Field} label="Name" hint="Letters, digits, - and _, at most 128. It may be empty, and need not be unique.">
			<input name="name" maxlength="128" pattern="[a-zA-Z0-9_\\-]*" autocomplete="off" />
		<//>
	<//>`;
}
