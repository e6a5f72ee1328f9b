// The events of all participants, sessions and stages, by filters, with a live tail. SPDX-License-Identifier: Apache-2.0

import { get } from "../api.js";
import { COLUMNS } from "../components/event_cells.js";
import { Check, Empty, Field, LiveState, Loading, Problem } from "../components/parts.js";
import { Table } from "../components/table.js";
import { ALL_CAUSES, COMPOSITION_ERROR_CODES, COMPOSITION_EVENT_NAMES, ERROR_CODES, PARTICIPANT_EVENT_NAMES } from "../explanations.js";
import { plural } from "../format.js";
import { useLiveEvents } from "../live_events.js";
import { searchLink } from "../router.js";
import { stageArn } from "../stages.js";
import { html, useEffect, useMemo, useRef, useState } from "../vendor/vendor.js";

const PAGE_LENGTH = 100;
const TAIL_LIMIT = 1_000;
const EVENT_NAMES = [...PARTICIPANT_EVENT_NAMES, ...COMPOSITION_EVENT_NAMES];
const FIELDS = ["stage", "session", "participant", "user", "composition", "error", "cause", "since", "until", "order"];
const EVENT_COLUMNS = ["time", "name", "participant", "about", "cause", "where"].map((each) => COLUMNS[each]);

export function SearchPage({ parameters, identity }) {
	const query = parameters.toString();
	const filters = useMemo(() => filtersOf(parameters), [query]);
	const [isTailing, setTailing] = useState(false);
	return html`
		<div class="heading"><h1 tabindex="-1">Events</h1></div>
		<${FilterForm} key=${query} filters=${filters} identity=${identity} />
		<${Results} key=${`results ${query}`} filters=${filters} isTailing=${isTailing} onTail=${setTailing} />
	`;
}

function filtersOf(parameters) {
	const filters = { name: parameters.getAll("name").filter((name) => EVENT_NAMES.includes(name)) };
	for (const field of FIELDS) if (parameters.get(field)) filters[field] = parameters.get(field);
	return filters;
}

function FilterForm({ filters, identity }) {
	const submit = (event) => {
		event.preventDefault();
		const form = new FormData(event.target);
		const chosen = { name: form.getAll("name") };
		for (const field of FIELDS) chosen[field] = `${form.get(field) ?? ""}`.trim();
		if (chosen.stage) chosen.stage = stageArn(chosen.stage, identity); // it may be given by its id
		for (const field of ["since", "until"]) if (chosen[field]) chosen[field] = new Date(chosen[field]).toISOString();
		if (chosen.order === "desc") chosen.order = "";
		location.hash = searchLink(chosen);
	};
	const text = (name, label, placeholder) =>
		html`<${Field} label=${label}><input name=${name} defaultValue=${filters[name] ?? ""} placeholder=${placeholder} autocomplete="off" spellcheck=${false} /><//>`;
	const moment = (name, label) =>
		html`<${Field} label=${label}><input name=${name} type="datetime-local" step="1" defaultValue=${localText(filters[name])} /><//>`;
	const names = (legend, values) => html`<fieldset class="whole">
		<legend>${legend}</legend>
		<div class="choices">
			${values.map((name) => html`<${Check} key=${name} name="name" value=${name} label=${name} defaultChecked=${filters.name.includes(name)} />`)}
		</div>
	</fieldset>`;
	const options = (values) => values.map((value) => html`<option key=${value} value=${value}>${value}</option>`);
	const isOpen = useMemo(() => matchMedia("(min-width: 721px)").matches, []);
	return html`<details class="card" open=${isOpen}>
		<summary><h2>Filters</h2></summary>
		<form onSubmit=${submit}>
			<div class="filters">
				${text("user", "User id")} ${text("participant", "Participant id")} ${text("stage", "Stage", "id or ARN")} ${text("session", "Session id", "st-…")} ${text("composition", "Composition", "id or ARN")}
				<${Select} name="error" label="Error" value=${filters.error}>
					<option value="">with and without</option><option value="any">any error</option>${options([...Object.keys(ERROR_CODES), ...COMPOSITION_ERROR_CODES])}
				<//>
				<${Select} name="cause" label="Cause" value=${filters.cause}><option value="">every cause</option>${options(ALL_CAUSES)}<//>
				${moment("since", "From")} ${moment("until", "Until")}
				<${Select} name="order" label="Order" value=${filters.order}><option value="desc">newest first</option><option value="asc">oldest first</option><//>
				${names("Event names", PARTICIPANT_EVENT_NAMES)} ${names("Events of compositions", COMPOSITION_EVENT_NAMES)}
			</div>
			<div class="actions">
				<button type="submit" class="primary">Search</button>
				<a class="button" href=${searchLink()}>Clear</a>
			</div>
		</form>
	</details>`;
}

function Select({ name, label, value = "", children }) {
	const element = useRef(null);
	useEffect(() => {
		if (value) element.current.value = value;
	}, []);
	return html`<${Field} label=${label}><select ref=${element} name=${name}>${children}</select><//>`;
}

// A time as an input of type datetime-local has it.
function localText(iso) {
	const moment = new Date(iso);
	if (!iso || Number.isNaN(moment.getTime())) return "";
	return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function Results({ filters, isTailing, onTail }) {
	const { pages, hasMore, isLoading, error, more } = usePages(filters);
	const { until, order, ...tailFilters } = filters;
	const canTail = !until && order !== "asc";
	const [tail, setTail] = useState([]);
	const known = useRef(new Set());
	const live = useLiveEvents(isTailing && canTail ? tailFilters : null, (event) => {
		if (known.current.has(event.id)) return;
		known.current.add(event.id);
		setTail((former) => [event, ...former].slice(0, TAIL_LIMIT));
	});
	for (const event of pages[0] ?? []) known.current.add(event.id);
	const count = tail.length + pages.reduce((sum, page) => sum + page.length, 0);
	return html`<section class="card flush" aria-labelledby="results-heading">
		<header>
			<h2 id="results-heading">Results</h2>
			<span class="muted" role="status">${pages.length > 0 && `${plural(count, "event")}${hasMore ? ", and more" : ""}`}</span>
			<div class="end actions">
				${isTailing && canTail && html`<${LiveState} state=${live} />`}
				<button type="button" aria-pressed=${isTailing && canTail} disabled=${!canTail} onClick=${() => onTail(!isTailing)}
					title=${canTail ? undefined : "A live tail has no end, and the newest event first"}>Live tail</button>
			</div>
		</header>
		${count > 0 && html`<${Table} caption="Events" columns=${EVENT_COLUMNS} groups=${[tail, ...pages]} keyOf=${({ id }) => id} />`}
		${pages.length > 0 && !count && html`<${Empty} title="No event matches">Remove a filter, or choose another time.<//>`}
		${error && html`<${Problem} error=${error} onRetry=${more} />`}
		${isLoading && html`<${Loading} what="Loading events" />`}
		${hasMore && !isLoading && !error && html`<${More} onMore=${more} />`}
	</section>`;
}

// Pages of events, by the cursor of the page before.
function usePages(filters) {
	const [state, setState] = useState({ pages: [], cursor: null, isLoading: true, error: null });
	const abort = useRef(null);
	const loadAfter = async (cursor) => {
		abort.current = new AbortController();
		const { signal } = abort.current;
		setState((former) => ({ ...former, isLoading: true, error: null }));
		try {
			const page = await get("/events", { ...filters, limit: PAGE_LENGTH, ...(cursor && { cursor }) }, signal);
			setState(({ pages }) => ({ pages: [...pages, page.events], cursor: page.nextCursor ?? null, isLoading: false, error: null }));
		} catch (error) {
			if (!signal.aborted) setState((former) => ({ ...former, isLoading: false, error }));
		}
	};
	useEffect(() => {
		loadAfter(null);
		return () => abort.current.abort();
	}, []);
	return { ...state, hasMore: Boolean(state.cursor), more: () => loadAfter(state.cursor) };
}

// Loads the next page when it comes into view; a button for those who do not scroll.
function More({ onMore }) {
	const element = useRef(null);
	useEffect(() => {
		const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && onMore(), { rootMargin: "400px" });
		observer.observe(element.current);
		return () => observer.disconnect();
	}, []);
	return html`<div class="more" ref=${element}><button type="button" onClick=${onMore}>Load more events</button></div>`;
}
