// What a lane of the timeline shows, in words. SPDX-License-Identifier: Apache-2.0

import { errorCodeText } from "../../explanations.js";
import { duration, plural, time } from "../../format.js";
import { participantLink } from "../../router.js";
import { html } from "../../vendor/vendor.js";
import { Cause, ErrorExplanation } from "../event_cells.js";
import { Badge, Time } from "../parts.js";
import { Table } from "../table.js";
import { KINDS, LAYERS } from "./timeline_model.js";

const SHOWN_LIMIT = 200;
const TONES = { joined: "green", published: "blue", watched: "teal", replicated: "purple", recorded: "pink" };

const iso = (at) => new Date(at).toISOString();
const lengthOf = ({ start, end }) => duration((end === Infinity ? Date.now() : end) - start);

// A bar or a mark in one sentence, for the hint under the pointer.
export function hitText({ layer, bar, mark }, nameOf) {
	if (layer === "errors") return `${mark.name} at ${time(iso(mark.at))}: ${mark.code}. ${errorCodeText(mark.code)} ${mark.detail}`;
	if (mark) return `${LAYERS[layer].names[0]} at ${time(iso(mark.at))}`;
	const whom = bar.about && ` ${layer === "replicated" ? `to session ${bar.about}` : nameOf(bar.about)}`;
	const end = bar.end === Infinity ? "now" : time(iso(bar.end));
	return `${LAYERS[layer].title}${whom}: ${time(iso(bar.start))} to ${end}, ${lengthOf(bar)}${bar.cause ? `, ended by ${bar.cause}` : ""}`;
}

export function LaneDetails({ lane, sessionId, nameOf, onClose }) {
	const bars = KINDS.flatMap((kind) => lane.rows[kind].flat()).sort((a, b) => a.start - b.start);
	const columns = [
		{ title: "What", render: ({ kind }) => html`<${Badge} tone=${TONES[kind]}>${LAYERS[kind].title.toLowerCase()}<//>` },
		{ title: "About", render: ({ kind, about }) => (kind === "watched" ? nameOf(about) : about && `session ${about}`) || html`<span class="muted">–</span>` },
		{ title: "From", render: ({ start }) => html`<${Time} iso=${iso(start)} />` },
		{ title: "To", render: ({ end }) => (end === Infinity ? html`<${Badge} tone="green">now<//>` : html`<${Time} iso=${iso(end)} />`) },
		{ title: "Duration", kind: "number", render: lengthOf },
		{ title: "Ended by", render: ({ cause }) => html`<${Cause} cause=${cause} />` },
	];
	return html`<section class="lane-details" aria-labelledby="lane-heading">
		<header>
			<h3 id="lane-heading">${lane.name}</h3>
			<code class="muted">${lane.id}</code>
			<div class="end actions">
				<a class="button" href=${participantLink(lane.stageArn, sessionId, lane.id)}>All events</a>
				<button type="button" onClick=${onClose}>Close</button>
			</div>
		</header>
		${lane.errors.length > 0 &&
		html`<ul class="feed">
			${lane.errors.slice(-SHOWN_LIMIT).map(
				(error) => html`<li key=${`${error.at} ${error.code}`}>
					<span><${Badge} tone="red">${error.name}<//> <${ErrorExplanation} code=${error.code} /></span>
					<${Time} iso=${iso(error.at)} />
					${error.detail && html`<span class="feed-text">${error.detail}</span>`}
				</li>`,
			)}
		</ul>`}
		${bars.length > 0 && html`<${Table} caption=${`Intervals of ${lane.name}`} columns=${columns} groups=${[bars.slice(0, SHOWN_LIMIT)]} keyOf=${({ kind, about, start }) => `${kind} ${about} ${start}`} />`}
		${bars.length > SHOWN_LIMIT && html`<p class="more muted">The first ${SHOWN_LIMIT} of ${plural(bars.length, "interval")} are shown.</p>`}
	</section>`;
}
