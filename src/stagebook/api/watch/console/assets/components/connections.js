// The media connections of a participant with what the media engine knows of them. SPDX-License-Identifier: Apache-2.0

import { get } from "../api.js";
import { useData, useInterval } from "../data.js";
import { bitrate, number, percent } from "../format.js";
import { html } from "../vendor/vendor.js";
import { Loaded } from "./parts.js";
import { Table } from "./table.js";

const REFRESH_MS = 2_000;
const NONE = html`<span class="muted">–</span>`;
const known = (value, text) => (value === null || value === undefined ? NONE : text(value));
const milliseconds = (seconds) => `${Math.round(seconds * 1_000)} ms`;

const of = (member, text) => (row) => known(row.statistics?.[member], text);
const COLUMNS = [
	{ title: "Connection", render: (row) => (row.purpose === "publish" ? "publishes" : html`watches <code>${row.remoteParticipantId}</code>`) },
	{ title: "Over", render: (row) => (row.isConnected ? of("transport", (name) => name.toUpperCase())(row) : "connecting") },
	{ title: "Bitrate", kind: "number", render: of("bitrateBps", bitrate) },
	{ title: "Estimate", kind: "number", render: of("estimateBps", bitrate) },
	{ title: "Round trip", kind: "number", render: of("roundTripSeconds", milliseconds) },
	{ title: "Loss", kind: "number", render: of("loss", percent) },
	{ title: "NACKs", kind: "number", render: of("nackedPackets", number) },
	{ title: "Keyframe requests", kind: "number", render: of("keyframeRequests", number) },
	{ title: "Video", render: (row) => videoOf(row.statistics) },
];

function videoOf(statistics) {
	if (statistics?.isVideoPaused) return "paused";
	const videos = (statistics?.streams ?? []).filter((stream) => stream.kind === "video");
	const shown = videos.map(({ layer, width, height }) => [layer, width && `${width} × ${height}`].filter(Boolean).join(": ")).filter(Boolean);
	if (!shown.length) return NONE;
	return html`${shown.join(", ")}${statistics.layerReason && html` <span class="muted">${statistics.layerReason}</span>`}`;
}

// Nothing for a participant without connections.
export function Connections({ stageArn, participantId }) {
	const load = (signal) => get("/connections", { stage: stageArn, participant: participantId }, signal);
	const state = useData(load, [stageArn, participantId]);
	useInterval(state.reload, REFRESH_MS);
	if (state.data && !state.data.connections.length) return null;
	return html`<section class="card flush" aria-labelledby="connections-heading">
		<header><h2 id="connections-heading">Connections</h2></header>
		<${Loaded} state=${state} what="Loading the connections">
			${({ connections }) => html`<${Table} caption="Connections of the participant" columns=${COLUMNS} groups=${[connections]} keyOf=${(row) => row.connectionId} />`}
		<//>
	</section>`;
}
