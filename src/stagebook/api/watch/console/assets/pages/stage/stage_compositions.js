// The compositions of a stage, newest first, also those that ended long ago. SPDX-License-Identifier: Apache-2.0

import { get } from "../../api.js";
import { Badge, Empty, Loaded, Problem, Time } from "../../components/parts.js";
import { Table } from "../../components/table.js";
import { useData } from "../../data.js";
import { between, plural } from "../../format.js";
import { CompositionBadge } from "../../components/composition_parts.js";
import { compositionLink, idOf } from "../../router.js";
import { html, useEffect, useState } from "../../vendor/vendor.js";

const PAGE_LENGTH = 50;
const COLUMNS = [
	{ title: "Composition", render: ({ arn }) => html`<a href=${compositionLink(arn)}>${idOf(arn)}</a>` },
	{ title: "State", render: ({ state }) => html`<${CompositionBadge} state=${state} />` },
	{ title: "Layout", render: ({ layout }) => html`<${Badge}>${"pip" in layout ? "picture in picture" : "grid"}<//>` },
	{ title: "Destinations", render: ({ destinations }) => plural(destinations.length, "destination") },
	{ title: "Start", render: ({ startTime }) => html`<${Time} iso=${startTime} isShort />` },
	{ title: "End", render: ({ endTime }) => html`<${Time} iso=${endTime} isShort />` },
	{ title: "Duration", kind: "number", render: ({ startTime, endTime }) => between(startTime, endTime) },
];

export function StageCompositions({ stage, changes }) {
	const load = (cursor, signal) => get("/compositions", { stage: stage.arn, limit: PAGE_LENGTH, cursor }, signal);
	const first = useData((signal) => load(undefined, signal), [stage.arn]);
	const [more, setMore] = useState([]);
	const [error, setError] = useState(null);
	useEffect(() => {
		if (changes) first.reload();
	}, [changes]);
	useEffect(() => setMore([]), [first.data]);
	const pages = [first.data, ...more];
	const cursor = pages.at(-1)?.nextCursor;
	const loadMore = () => {
		setError(null);
		return load(cursor).then((page) => setMore((former) => [...former, page]), setError);
	};
	return html`<section class="card flush" aria-labelledby="compositions-heading">
		<header><h2 id="compositions-heading">Compositions</h2></header>
		<${Loaded} state=${first} what="Loading the compositions">
			${({ compositions }) =>
				compositions.length
					? html`<${Table} caption="Compositions of the stage" columns=${COLUMNS} groups=${pages.map((page) => page.compositions)} keyOf=${({ arn }) => arn} />`
					: html`<${Empty} title="The stage was not composed yet">StartComposition makes one picture and one sound of its publishers.<//>`}
		<//>
		${error && html`<${Problem} error=${error} />`}
		${cursor && html`<div class="more"><button type="button" onClick=${loadMore}>Load older compositions</button></div>`}
	</section>`;
}
