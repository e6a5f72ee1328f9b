// Paints the visible lanes of a timeline on a canvas. SPDX-License-Identifier: Apache-2.0
// The cost of a picture depends on what is visible: the lanes in view, and their bars in the shown period. Bars of less
// than a pixel are merged, so a row is never painted more often than it has pixels.

import { tickText } from "./timeline_scale.js";
import { visitBars } from "./timeline_model.js";

export const LANE_HEIGHT = 46;
export const AXIS_HEIGHT = 28;
const WATCH_ROWS = 2;
const PUBLISH = { y: 6, height: 12 };
const RECORD = { y: LANE_HEIGHT - 5, height: 3 };
const WATCH = { y: 21, height: 9, pitch: 11 };
const MARK_REACH = 7;
const COLORS = ["text", "muted", "border", "surface", "raised", "accent", "green", "green-tint", "red", "red-tint", "blue", "teal", "purple", "pink", "amber", "grey-tint"];

// The colours of the page as the canvas needs them. `element` must be in the document.
export function readColors(element) {
	const colors = {};
	for (const name of COLORS) {
		element.style.color = `var(--${name})`;
		colors[name] = getComputedStyle(element).color;
	}
	element.style.color = "";
	return colors;
}

export class TimelinePainter {
	constructor(canvas, colors) {
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
		this.colors = colors;
	}

	resize(width, height) {
		const ratio = globalThis.devicePixelRatio || 1;
		this.width = width;
		this.height = height;
		this.canvas.width = Math.round(width * ratio);
		this.canvas.height = Math.round(height * ratio);
		Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
		this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
	}

	// `picture`: { lanes, scale, scrollTop, layers, selected, nameOf, now }.
	paint(picture) {
		const { lanes, scale, scrollTop } = picture;
		const { context, colors } = this;
		context.fillStyle = colors.surface;
		context.fillRect(0, 0, this.width, this.height);
		const ticks = scale.ticks();
		this.paintGrid(scale, ticks);
		context.save();
		context.beginPath();
		context.rect(0, AXIS_HEIGHT, this.width, this.height - AXIS_HEIGHT);
		context.clip();
		const first = Math.max(0, Math.floor(scrollTop / LANE_HEIGHT));
		for (let index = first; index < lanes.length; index += 1) {
			const y = AXIS_HEIGHT + index * LANE_HEIGHT - scrollTop;
			if (y > this.height) break;
			this.paintLane(lanes[index], y, picture);
		}
		context.restore();
		this.paintAxis(scale, ticks);
	}

	paintGrid(scale, { moments }) {
		this.context.fillStyle = this.colors["grey-tint"];
		for (const at of moments) this.context.fillRect(Math.round(scale.positionOf(at)), AXIS_HEIGHT, 1, this.height);
	}

	paintAxis(scale, { moments, step }) {
		const { context, colors } = this;
		context.fillStyle = colors.raised;
		context.fillRect(0, 0, this.width, AXIS_HEIGHT);
		context.fillStyle = colors.border;
		context.fillRect(0, AXIS_HEIGHT - 1, this.width, 1);
		context.fillStyle = colors.muted;
		context.font = "11.5px system-ui, sans-serif";
		context.textBaseline = "middle";
		for (const at of moments) {
			const x = Math.round(scale.positionOf(at));
			context.fillRect(x, AXIS_HEIGHT - 6, 1, 5);
			context.fillText(tickText(at, step), x + 4, AXIS_HEIGHT / 2);
		}
	}

	paintLane(lane, y, { scale, layers, selected, nameOf }) {
		const { context, colors } = this;
		if (lane.id === selected) {
			context.fillStyle = colors.raised;
			context.fillRect(0, y, this.width, LANE_HEIGHT);
		}
		context.fillStyle = colors.border;
		context.fillRect(0, y + LANE_HEIGHT - 1, this.width, 1);
		if (layers.has("joined")) for (const row of lane.rows.joined) this.paintRow(row, scale, y + 3, LANE_HEIGHT - 7, colors["green-tint"], { edge: colors.green });
		if (layers.has("published")) for (const row of lane.rows.published) this.paintRow(row, scale, y + PUBLISH.y, PUBLISH.height, colors.blue, { text: () => "published" });
		if (layers.has("replicated")) for (const row of lane.rows.replicated) this.paintRow(row, scale, y + PUBLISH.y + PUBLISH.height - 3, 3, colors.purple);
		if (layers.has("recorded")) for (const row of lane.rows.recorded) this.paintRow(row, scale, y + RECORD.y, RECORD.height, colors.pink);
		if (layers.has("watched")) {
			lane.rows.watched.slice(0, WATCH_ROWS).forEach((row, index) => {
				this.paintRow(row, scale, y + WATCH.y + index * WATCH.pitch, WATCH.height, colors.teal, { text: ({ about }) => nameOf(about) });
			});
		}
		if (layers.has("exchanges")) for (const { at } of lane.exchanges) this.paintExchange(scale.xOf(at), y);
		if (layers.has("errors")) for (const { at } of lane.errors) this.paintError(scale.xOf(at), y);
	}

	paintRow(bars, scale, y, height, color, { text, edge } = {}) {
		const { context } = this;
		const labels = [];
		let reached = Infinity; // the left edge of what is painted: bars come from right to left
		context.fillStyle = color;
		visitBars(bars, scale.from, scale.to, (bar) => {
			const left = Math.max(scale.xOf(bar.start), -2);
			const right = Math.min(Math.max(scale.xOf(bar.end), left + 1), reached, this.width + 3);
			if (reached - left < 0.5) return;
			context.fillRect(left, y, right - left > 3 ? right - left - 1 : right - left, height);
			if (edge) labels.push([left, right, bar]);
			else if (text && right - left > 34) labels.push([left, right, bar]);
			reached = left;
		});
		if (edge) this.paintEdges(labels, y, height, edge);
		else for (const [left, right, bar] of labels) this.paintText(text(bar), left, right, y + height / 2);
	}

	paintEdges(bars, y, height, color) {
		this.context.fillStyle = color;
		for (const [left, right, bar] of bars) {
			this.context.fillRect(left, y, 2, height);
			if (bar.end !== Infinity) this.context.fillRect(right - 2, y, 2, height);
		}
	}

	paintText(text, left, right, y) {
		const { context, colors } = this;
		context.fillStyle = colors.surface;
		context.font = "600 9.5px system-ui, sans-serif";
		context.textBaseline = "middle";
		const start = Math.max(left, 0) + 4;
		const room = right - start - 4;
		const length = Math.floor(room / 5.4);
		if (length >= 3) context.fillText(text.length > length ? `${text.slice(0, length - 1)}…` : text, start, y + 0.5, room);
	}

	paintError(x, y) {
		if (x < -MARK_REACH || x > this.width + MARK_REACH) return;
		const { context, colors } = this;
		context.beginPath();
		context.moveTo(x, y + 12);
		context.lineTo(x + 7, y + 25);
		context.lineTo(x - 7, y + 25);
		context.closePath();
		context.fillStyle = colors.red;
		context.fill();
		context.strokeStyle = colors.surface;
		context.lineWidth = 1.5;
		context.stroke();
	}

	paintExchange(x, y) {
		const { context, colors } = this;
		context.beginPath();
		context.arc(x, y + 30, 4.5, 0, 2 * Math.PI);
		context.fillStyle = colors.amber;
		context.fill();
		context.strokeStyle = colors.surface;
		context.lineWidth = 1.5;
		context.stroke();
	}
}

// What is at a point of a lane: a mark, or else the bar on top; null if there is nothing. `y` is within the lane.
export function hitTest(lane, x, y, scale, layers) {
	const isNear = ({ at }) => Math.abs(scale.xOf(at) - x) <= MARK_REACH;
	for (const layer of ["errors", "exchanges"]) {
		const mark = layers.has(layer) && lane[layer].findLast(isNear);
		if (mark) return { layer, mark };
	}
	const at = scale.timeAt(x);
	const slack = scale.timeAt(2) - scale.timeAt(0);
	const candidates = [];
	if (y >= RECORD.y - 1) candidates.push(["recorded", lane.rows.recorded]);
	if (y >= WATCH.y) candidates.push(["watched", [lane.rows.watched[Math.floor((y - WATCH.y) / WATCH.pitch)] ?? []]]);
	if (y < WATCH.y) candidates.push(["published", lane.rows.published], ["replicated", lane.rows.replicated]);
	candidates.push(["joined", lane.rows.joined]);
	for (const [layer, rows] of candidates) {
		if (!layers.has(layer)) continue;
		for (const row of rows) {
			let found = null;
			visitBars(row, at - slack, at + slack, (bar) => (found ??= bar));
			if (found) return { layer, bar: found };
		}
	}
	return null;
}
