// Which period the timeline shows, and where a moment is in it. SPDX-License-Identifier: Apache-2.0

const MINIMUM_SPAN_MS = 200;
const MARGIN = 0.02;
const STEPS_MS = [
	10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 10800e3,
	21600e3, 43200e3, 86400e3, 172800e3, 604800e3,
];

export class TimelineScale {
	constructor() {
		Object.assign(this, { from: 0, to: 1, width: 1, first: 0, last: 1, horizon: 1 });
		this.isFitted = true;
	}

	// The whole period that there is to see. As long as nobody has zoomed, the scale follows it.
	setExtent(first, last) {
		const margin = Math.max(last - first, MINIMUM_SPAN_MS) * MARGIN;
		Object.assign(this, { first: first - margin, last: last + margin, horizon: last });
		if (this.isFitted) this.fit();
	}

	fit() {
		Object.assign(this, { from: this.first, to: this.last, isFitted: true });
	}

	// An interval that has not ended reaches to the end of what has happened.
	xOf(at) {
		return this.positionOf(Math.min(at, this.horizon));
	}

	positionOf(at) {
		return ((at - this.from) / (this.to - this.from)) * this.width;
	}

	timeAt(x) {
		return this.from + (x / this.width) * (this.to - this.from);
	}

	// Shows a period that is `factor` times as long, with the moment at `x` in its place.
	zoom(factor, x = this.width / 2) {
		const span = Math.min(Math.max((this.to - this.from) * factor, MINIMUM_SPAN_MS), this.last - this.first);
		const share = x / this.width;
		this.show(this.timeAt(x) - share * span, span);
	}

	pan(pixels) {
		const span = this.to - this.from;
		this.show(this.from + (pixels / this.width) * span, span);
	}

	show(from, span) {
		this.from = Math.min(Math.max(from, this.first), this.last - span);
		this.to = this.from + span;
		this.isFitted = span >= this.last - this.first;
	}

	// Round moments that are at least `pixels` apart, in local time, and the step between them.
	ticks(pixels = 110) {
		const wanted = ((this.to - this.from) / this.width) * pixels;
		const step = STEPS_MS.find((each) => each >= wanted) ?? STEPS_MS.at(-1);
		const shift = new Date(this.from).getTimezoneOffset() * 60_000;
		const moments = [];
		for (let at = Math.ceil((this.from - shift) / step) * step + shift; at <= this.to; at += step) moments.push(at);
		return { moments, step };
	}
}

const options = { hour: "2-digit", minute: "2-digit", hour12: false };
const minutes = new Intl.DateTimeFormat(undefined, options);
const seconds = new Intl.DateTimeFormat(undefined, { ...options, second: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

// The label of a tick, as precise as the step needs.
export function tickText(at, step) {
	if (step >= 86400e3) return days.format(at);
	if (step >= 60e3) return minutes.format(at);
	if (step >= 1e3) return seconds.format(at);
	return `${seconds.format(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`;
}
