// How well media arrives: a table that is renewed every two seconds. SPDX-License-Identifier: Apache-2.0

import { Empty } from "../../components/parts.js";
import { Table } from "../../components/table.js";
import { bitrate, percent } from "../../format.js";
import { html, useEffect, useState } from "../../vendor/vendor.js";

const PERIOD_MS = 2_000;
const dash = html`<span class="muted">–</span>`;
const known = (value, write) => (Number.isFinite(value) ? write(value) : dash);

const COLUMNS = [
	{ title: "Stream", render: ({ title }) => title },
	{ title: "Codec", render: ({ codec }) => codec ?? dash },
	{ title: "Bitrate", kind: "number", render: (each) => bitrate(each.bitrate) },
	{ title: "Loss", kind: "number", render: ({ lossShare }) => known(lossShare, percent) },
	{ title: "Round trip", kind: "number", render: ({ rttSeconds }) => known(rttSeconds, (value) => `${Math.round(value * 1000)} ms`) },
	{ title: "Jitter", kind: "number", render: ({ jitterSeconds }) => known(jitterSeconds, (value) => `${Math.round(value * 1000)} ms`) },
	{ title: "Resolution", kind: "number", render: ({ width, height }) => (width ? `${width} × ${height}` : dash) },
	{ title: "Frames/s", kind: "number", render: ({ framesPerSecond }) => known(framesPerSecond, Math.round) },
];

export function ConnectionStatistics({ client }) {
	const [rows, setRows] = useState([]);
	useEffect(() => {
		let isEnded = false;
		const read = async () => {
			const found = rowsOf(await client.stats(), client);
			if (!isEnded) setRows(found);
		};
		read();
		const timer = setInterval(read, PERIOD_MS);
		return () => {
			isEnded = true;
			clearInterval(timer);
		};
	}, [client]);
	return html`<section class="card flush" aria-labelledby="statistics-heading">
		<header><h2 id="statistics-heading">Connection</h2></header>
		${rows.length
			? html`<${Table} caption="Connection statistics" columns=${COLUMNS} groups=${[rows]} keyOf=${({ key }) => key} />`
			: html`<${Empty} title="No media yet">As soon as somebody publishes, the bitrate, the loss and the picture size are shown here.<//>`}
	</section>`;
}

function rowsOf({ publication, subscriptions }, client) {
	const rows = [];
	const add = (id, name, tracks) =>
		tracks.forEach((track, index) =>
			rows.push({ ...track, key: `${id} ${track.kind} ${track.rid ?? index}`, title: `${name}, ${track.kind}${track.rid ? ` ${track.rid}` : ""}` }),
		);
	if (publication) add("own", "Sent", publication);
	for (const [id, tracks] of subscriptions) add(id, client.participants.get(id)?.userId || id, tracks);
	return rows;
}
