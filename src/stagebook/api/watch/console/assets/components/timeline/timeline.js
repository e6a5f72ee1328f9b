// The timeline of a session: one lane per participant, painted on a canvas. SPDX-License-Identifier: Apache-2.0
// The names of the lanes are links in the document, of the visible lanes only. Whoever does not see the canvas gets the
// same facts in words: in the label of each lane, and in the table of the selected lane.

import { plural } from "../../format.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../vendor/vendor.js";
import { Empty, LiveState, Loading, Problem } from "../parts.js";
import { LaneDetails, hitText } from "./lane_details.js";
import { useSessionEvents } from "./session_events.js";
import { KINDS, LAYERS } from "./timeline_model.js";
import { AXIS_HEIGHT, LANE_HEIGHT, TimelinePainter, hitTest, readColors } from "./timeline_painter.js";
import { TimelineScale } from "./timeline_scale.js";

const MAXIMUM_HEIGHT = 560;
const ZOOM = 1.5;
const PAN_PIXELS = 80;
const NOW_PERIOD_MS = 1_000;
const ALL_LAYERS = new Set(Object.keys(LAYERS));
const ALL_NAMES = Object.values(LAYERS).flatMap(({ names }) => names);

// `onEvents` is called when live events have been added.
export function Timeline({ sessionId, onEvents }) {
	const [version, setVersion] = useState(0);
	const frame = useRef(0);
	// Events may arrive by thousands: what they change is shown once a frame.
	const changed = () => {
		frame.current ||= requestAnimationFrame(() => {
			frame.current = 0;
			setVersion((former) => former + 1);
			if (events.live === "live") onEvents?.();
		});
	};
	useEffect(() => () => cancelAnimationFrame(frame.current), []);
	const events = useSessionEvents(sessionId, changed);
	const { model } = events;
	const [text, setText] = useState("");
	const [layers, setLayers] = useState(ALL_LAYERS);
	const [name, setName] = useState("");
	const [selected, setSelected] = useState(null);
	const lanes = useMemo(() => model.find(text, layers, name), [text, layers, name, version]);
	const lane = model.lanesById.get(selected);
	return html`<section class="card flush timeline" aria-labelledby="timeline-heading">
		<header>
			<h2 id="timeline-heading">Timeline</h2>
			<span class="muted" role="status">${statusText(events, model, lanes)}</span>
			${events.live !== "off" && html`<${LiveState} state=${events.live} />`}
			<input type="search" class="end timeline-search" aria-label="Find a participant" placeholder="Find a participant" value=${text} onInput=${({ target }) => setText(target.value)} />
		</header>
		<${LayerChoice} layers=${layers} onChange=${setLayers}><${NameChoice} name=${name} onChange=${setName} /><//>
		${events.error && html`<${Problem} error=${events.error} onRetry=${events.retry} />`}
		${events.isLoading && !model.eventCount && html`<${Loading} what="Loading the events" />`}
		${model.eventCount > 0 && html`<${Lanes} model=${model} lanes=${lanes} layers=${layers} version=${version} isOpen=${model.openCount > 0} selected=${selected} onSelect=${setSelected} />`}
		${!events.isLoading && !model.eventCount && !events.error && html`<${Empty} title="There is no event">The session is not in the book, or its events were deleted by their age.<//>`}
		${model.eventCount > 0 && !lanes.length && html`<${Empty} title="No participant matches">Change the text, or show more kinds of events.<//>`}
		${lane && html`<${LaneDetails} lane=${lane} sessionId=${sessionId} nameOf=${(id) => model.nameOf(id)} onClose=${() => setSelected(null)} />`}
	</section>`;
}

function statusText({ isLoading }, model, lanes) {
	if (!model.eventCount) return "";
	const participants = lanes.length === model.lanes.length ? plural(lanes.length, "participant") : `${lanes.length} of ${plural(model.lanes.length, "participant")}`;
	return `${participants}, ${plural(model.eventCount, "event")}${isLoading ? ", loading more …" : ""}`;
}

// Only the participants that have an event of this name.
function NameChoice({ name, onChange }) {
	return html`<select class="timeline-name end" aria-label="Participants with the event" value=${name} onChange=${({ target }) => onChange(target.value)}>
		<option value="">all participants</option>
		${ALL_NAMES.map((each) => html`<option key=${each} value=${each}>with ${each}</option>`)}
	</select>`;
}

function LayerChoice({ layers, onChange, children }) {
	const toggle = (layer) => {
		const next = new Set(layers);
		if (!next.delete(layer)) next.add(layer);
		onChange(next);
	};
	return html`<div class="timeline-layers" role="group" aria-label="Shown events">
		${Object.entries(LAYERS).map(
			([layer, { title, names }]) => html`<label key=${layer} class="check" title=${names.join(", ")}>
				<input type="checkbox" checked=${layers.has(layer)} onChange=${() => toggle(layer)} />
				<span class="swatch ${layer}" aria-hidden="true"></span><span>${title}</span>
			</label>`,
		)}
		${children}
	</div>`;
}

function Lanes({ model, lanes, layers, version, isOpen, selected, onSelect }) {
	const view = useRef(null);
	view.current ??= new LanesView();
	const [visible, setVisible] = useState({ first: 0, count: 0 });
	const [hint, setHint] = useState(null);
	const scroller = useRef(null);
	const canvas = useRef(null);
	const probe = useRef(null);
	useLayoutEffect(() => {
		view.current.open({ scroller: scroller.current, canvas: canvas.current, probe: probe.current, onVisible: setVisible, onHint: setHint });
		return () => view.current.close();
	}, []);
	useLayoutEffect(() => {
		view.current.update({ model, lanes, layers, isOpen, selected });
	}, [version, lanes, layers, isOpen, selected]);
	useEffect(() => {
		if (!isOpen) return undefined;
		const timer = setInterval(() => document.hidden || view.current.advance(), NOW_PERIOD_MS);
		return () => clearInterval(timer);
	}, [isOpen]);
	const height = Math.min(MAXIMUM_HEIGHT, AXIS_HEIGHT + lanes.length * LANE_HEIGHT);
	const onKeyDown = (event) => {
		const index = lanes.findIndex(({ id }) => id === (event.target.dataset?.lane ?? selected));
		const next = { ArrowDown: index + 1, ArrowUp: index - 1 }[event.key];
		if (next !== undefined && lanes[next]) {
			event.preventDefault();
			onSelect(lanes[next].id);
			view.current.reveal(next);
			requestAnimationFrame(() => requestAnimationFrame(() => scroller.current?.querySelector(`[data-lane="${CSS.escape(lanes[next].id)}"]`)?.focus()));
		} else if (view.current.act(event.key)) event.preventDefault();
	};
	const shown = lanes.slice(visible.first, visible.first + visible.count);
	return html`
		<div class="timeline-tools actions" role="group" aria-label="Shown period">
			<button type="button" onClick=${() => view.current.act("+")} title="Key +">Zoom in</button>
			<button type="button" onClick=${() => view.current.act("-")} title="Key -">Zoom out</button>
			<button type="button" onClick=${() => view.current.act("ArrowLeft")} title="Left arrow" aria-label="Earlier">←</button>
			<button type="button" onClick=${() => view.current.act("ArrowRight")} title="Right arrow" aria-label="Later">→</button>
			<button type="button" onClick=${() => view.current.act("0")} title="Key 0">Whole session</button>
			<span class="muted timeline-help">Drag to move, Ctrl and wheel to zoom. Keys: arrows, + − 0.</span>
		</div>
		<div class="timeline-scroll" ref=${scroller} style=${{ height: `${height}px` }} tabindex="0" role="region" aria-label="Lanes of the participants" onKeyDown=${onKeyDown}>
			<div class="timeline-space" style=${{ height: `${AXIS_HEIGHT + lanes.length * LANE_HEIGHT}px` }}>
				<div class="timeline-corner" aria-hidden="true"></div>
				<canvas ref=${canvas} role="img" aria-label="Bars of the participants over time. The same is in words in the list of lanes."></canvas>
				<ul class="timeline-names">
					${shown.map((lane, offset) => {
						const index = visible.first + offset;
						return html`<li key=${lane.id} style=${{ top: `${AXIS_HEIGHT + index * LANE_HEIGHT}px` }} aria-setsize=${lanes.length} aria-posinset=${index + 1}>
							<button type="button" data-lane=${lane.id} aria-pressed=${lane.id === selected} aria-label=${laneText(lane)} onClick=${() => onSelect(lane.id === selected ? null : lane.id)}>
								<strong>${lane.name}</strong>${lane.userId && html`<code>${lane.id}</code>`}
							</button>
						</li>`;
					})}
				</ul>
			</div>
			<span ref=${probe} hidden></span>
		</div>
		${hint && html`<div class="timeline-hint" role="presentation" style=${{ left: `${hint.x}px`, top: `${hint.y}px` }}>${hintText(hint, model)}</div>`}
	`;
}

const hintText = ({ lane, hit }, model) => html`<strong>${lane.name}</strong><span>${hitText(hit, (id) => model.nameOf(id))}</span>`;

// What a lane shows, in words.
function laneText(lane) {
	const counts = KINDS.map((kind) => [kind, lane.rows[kind].reduce((sum, row) => sum + row.length, 0)]);
	const parts = counts.filter(([, count]) => count).map(([kind, count]) => `${kind} ${plural(count, "time")}`);
	if (lane.errors.length) parts.push(plural(lane.errors.length, "error"));
	return `${lane.name}: ${parts.join(", ") || plural(lane.eventCount, "event")}`;
}

// The canvas and what moves it: scrolling, dragging, zooming, new events, the passing time. It works outside of the
// rendering of components, so that a frame costs only what is painted.
class LanesView {
	constructor() {
		this.scale = new TimelineScale();
		this.state = null;
		this.frame = 0;
		this.visible = {};
	}

	open(parts) {
		Object.assign(this, parts);
		this.painter = new TimelinePainter(this.canvas, readColors(this.probe));
		this.abort = new AbortController();
		const { signal } = this.abort;
		this.scroller.addEventListener("scroll", () => this.request(), { signal, passive: true });
		this.scroller.addEventListener("wheel", (event) => this.onWheel(event), { signal, passive: false });
		this.canvas.addEventListener("pointerdown", (event) => this.onDown(event), { signal });
		this.canvas.addEventListener("pointermove", (event) => this.onMove(event), { signal });
		for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => (this.dragX = null), { signal });
		this.canvas.addEventListener("pointerleave", () => this.onHint(null), { signal });
		this.sizes = new ResizeObserver(() => this.measure());
		this.sizes.observe(this.scroller);
		this.themes = new MutationObserver(() => this.recolor());
		this.themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolor(), { signal });
		this.measure();
	}

	close() {
		this.abort.abort();
		this.sizes.disconnect();
		this.themes.disconnect();
		cancelAnimationFrame(this.frame);
		this.frame = 0;
	}

	update(state) {
		this.state = state;
		this.extend();
		this.request();
	}

	// A session with participants reaches to this moment.
	extend() {
		const { model, isOpen } = this.state;
		this.scale.setExtent(model.start, isOpen ? Math.max(Date.now(), model.end) : model.end);
	}

	advance() {
		this.extend();
		this.request();
	}

	measure() {
		const names = this.scroller.querySelector(".timeline-names");
		const width = Math.max(40, this.scroller.clientWidth - names.offsetWidth);
		this.painter.resize(width, this.scroller.clientHeight);
		this.scale.width = width;
		this.request();
	}

	recolor() {
		this.painter.colors = readColors(this.probe);
		this.request();
	}

	request() {
		this.frame ||= requestAnimationFrame(() => {
			this.frame = 0;
			this.paint();
		});
	}

	paint() {
		if (!this.state) return;
		const { model, lanes, layers, selected } = this.state;
		const scrollTop = this.scroller.scrollTop;
		this.painter.paint({ lanes, layers, selected, scale: this.scale, scrollTop, nameOf: (id) => model.nameOf(id) });
		const first = Math.max(0, Math.floor(scrollTop / LANE_HEIGHT) - 1);
		const count = Math.ceil(this.painter.height / LANE_HEIGHT) + 3;
		if (first !== this.visible.first || count !== this.visible.count) this.onVisible((this.visible = { first, count }));
	}

	// Carries out a key; returns whether it has a meaning.
	act(key) {
		const { scale } = this;
		const actions = {
			"+": () => scale.zoom(1 / ZOOM),
			"=": () => scale.zoom(1 / ZOOM),
			"-": () => scale.zoom(ZOOM),
			0: () => scale.fit(),
			ArrowLeft: () => scale.pan(-PAN_PIXELS),
			ArrowRight: () => scale.pan(PAN_PIXELS),
		};
		if (!actions[key]) return false;
		actions[key]();
		this.onHint(null);
		this.request();
		return true;
	}

	reveal(index) {
		const top = index * LANE_HEIGHT;
		const room = this.scroller.clientHeight - AXIS_HEIGHT - LANE_HEIGHT;
		if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
		else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
	}

	onWheel(event) {
		const isZoom = event.ctrlKey || event.metaKey;
		const sideways = event.shiftKey ? event.deltaY : event.deltaX;
		if (!isZoom && Math.abs(sideways) <= Math.abs(event.shiftKey ? 0 : event.deltaY)) return;
		event.preventDefault();
		if (isZoom) this.scale.zoom(2 ** (event.deltaY / 240), event.clientX - this.canvas.getBoundingClientRect().left);
		else this.scale.pan(sideways);
		this.request();
	}

	onDown(event) {
		if (event.pointerType === "mouse" && event.button !== 0) return;
		this.dragX = event.clientX;
		this.canvas.setPointerCapture(event.pointerId);
		this.onHint(null);
	}

	onMove(event) {
		if (this.dragX !== null && this.dragX !== undefined) {
			this.scale.pan(this.dragX - event.clientX);
			this.dragX = event.clientX;
			this.request();
			return;
		}
		const box = this.canvas.getBoundingClientRect();
		const y = event.clientY - box.top - AXIS_HEIGHT + this.scroller.scrollTop;
		const lane = event.clientY - box.top > AXIS_HEIGHT ? this.state?.lanes[Math.floor(y / LANE_HEIGHT)] : undefined;
		const hit = lane && hitTest(lane, event.clientX - box.left, y % LANE_HEIGHT, this.scale, this.state.layers);
		this.onHint(hit ? { lane, hit, x: Math.min(event.clientX + 12, innerWidth - 280), y: event.clientY + 14 } : null);
	}
}

