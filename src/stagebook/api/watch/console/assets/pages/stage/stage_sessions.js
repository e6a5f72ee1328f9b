// The sessions of a stage, newest first. SPDX-License-Identifier: Apache-2.0

import { call } from "../../api.js";
import { Badge, Empty, Loaded, Problem, Time } from "../../components/parts.js";
import { Table } from "../../components/table.js";
import { useData } from "../../data.js";
import { between } from "../../format.js";
import { searchLink, sessionLink } from "../../router.js";
import { html, useEffect, useState } from "../../vendor/vendor.js";

const PAGE_LENGTH = 50;

export function StageSessions({ stage }) {
	const load = (nextToken, signal) =>
		call("ListStageSessions", { stageArn: stage.arn, maxResults: PAGE_LENGTH, ...(nextToken && { nextToken }) }, signal);
	const first = useData((signal) => load("", signal), [stage.arn, stage.activeSessionId]);
	const [more, setMore] = useState([]);
	const [error, setError] = useState(null);
	useEffect(() => setMore([]), [first.data]);
	const pages = [first.data, ...more];
	const nextToken = pages.at(-1)?.nextToken;
	const loadMore = async () => {
		setError(null);
		try {
			const page = await load(nextToken);
			setMore((former) => [...former, page]);
		} catch (failure) {
			setError(failure);
		}
	};
	const columns = [
		{ title: "Session", render: ({ sessionId }) => html`<a href=${sessionLink(sessionId)}>${sessionId}</a>` },
		{ title: "State", render: ({ endTime }) => (endTime ? html`<${Badge}>ended<//>` : html`<${Badge} tone="green">live<//>`) },
		{ title: "Start", render: ({ startTime }) => html`<${Time} iso=${startTime} isShort />` },
		{ title: "End", render: ({ endTime }) => html`<${Time} iso=${endTime} isShort />` },
		{ title: "Duration", kind: "number", render: ({ startTime, endTime }) => between(startTime, endTime) },
		{ title: "Events", render: ({ sessionId }) => html`<a href=${searchLink({ session: sessionId })} aria-label=${`Events of ${sessionId}`}>Events</a>` },
	];
	return html`<section class="card flush" aria-labelledby="sessions-heading">
		<header><h2 id="sessions-heading">Sessions</h2></header>
		<${Loaded} state=${first} what="Loading the sessions">
			${({ stageSessions }) =>
				stageSessions.length
					? html`<${Table} caption="Sessions of the stage" columns=${columns} groups=${pages.map((page) => page.stageSessions)} keyOf=${({ sessionId }) => sessionId} />`
					: html`<${Empty} title="There was no session yet">A session starts when the first participant joins the stage, and ends when the last one has left.<//>`}
		<//>
		${error && html`<${Problem} error=${error} />`}
		${nextToken && html`<div class="more"><button type="button" onClick=${loadMore}>Load older sessions</button></div>`}
	</section>`;
}
