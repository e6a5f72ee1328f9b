// The bars and marks of a session, from its events. SPDX-License-Identifier: Apache-2.0
// A lane is one participant. Its bars are intervals: joined, published, watched (whom), replicated (where), recorded. An interval
// that nothing has ended has the end Infinity. Concurrent intervals of a kind are in several rows; within a row they do
// not overlap, so that the bars of a period are found by binary search.

const STARTS = {
	JOINED: "joined",
	PUBLISH_STARTED: "published",
	SUBSCRIBE_STARTED: "watched",
	REPLICATION_STARTED: "replicated",
	RECORDING_STARTED: "recorded",
};
const ENDS = {
	LEFT: "joined",
	PUBLISH_STOPPED: "published",
	SUBSCRIBE_STOPPED: "watched",
	REPLICATION_STOPPED: "replicated",
	RECORDING_ENDED: "recorded",
	RECORDING_END_FAILED: "recorded",
};

export const KINDS = ["joined", "published", "watched", "replicated", "recorded"];

// What each kind of bar or mark is called, and the event names that it shows.
export const LAYERS = {
	joined: { title: "Joined", names: ["JOINED", "LEFT"] },
	published: { title: "Published", names: ["PUBLISH_STARTED", "PUBLISH_STOPPED"] },
	watched: { title: "Watched", names: ["SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED"] },
	replicated: { title: "Replicated", names: ["REPLICATION_STARTED", "REPLICATION_STOPPED"] },
	recorded: { title: "Recorded", names: ["RECORDING_STARTED", "RECORDING_ENDED"] },
	errors: { title: "Errors", names: ["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR", "RECORDING_START_FAILED", "RECORDING_END_FAILED"] },
	exchanges: { title: "Token exchanges", names: ["TOKEN_EXCHANGED"] },
};
const LAYER_OF = new Map(Object.entries(LAYERS).flatMap(([layer, { names }]) => names.map((name) => [name, layer])));

// Sequence numbers are decimal strings without leading zeros, larger than JavaScript's exact integers.
const isAfter = (a, b) => a.length > b.length || (a.length === b.length && a > b);

class Lane {
	constructor({ participantId, userId = "", stageArn }) {
		Object.assign(this, { id: participantId, userId, stageArn, errors: [], exchanges: [], layers: new Set(), names: new Set(), eventCount: 0 });
		this.rows = Object.fromEntries(KINDS.map((kind) => [kind, []]));
		this.open = Object.fromEntries(KINDS.map((kind) => [kind, new Map()]));
	}

	get name() {
		return this.userId || this.id;
	}

	start(kind, about, at) {
		const rows = this.rows[kind];
		let row = rows.find((bars) => bars.at(-1).end <= at);
		if (!row) rows.push((row = []));
		const bar = { kind, about, start: at, end: Infinity, cause: "" };
		row.push(bar);
		const open = this.open[kind];
		if (!open.has(about)) open.set(about, []);
		open.get(about).push(bar);
	}

	// Ends the oldest interval of the kind that is about the same. Without one, its start is not in the book any more.
	end(kind, about, at, cause) {
		const bar = this.open[kind].get(about)?.shift();
		if (bar) Object.assign(bar, { end: at, cause });
		if (!this.open[kind].get(about)?.length) this.open[kind].delete(about);
	}
}

export class TimelineModel {
	constructor() {
		this.lanes = [];
		this.eventCount = 0;
		this.start = Infinity;
		this.end = -Infinity;
		this.openCount = 0;
		this.lastSequence = "";
		this.lanesById = new Map();
	}

	// Adds an event. Events must come in the order of the book; one that is already here is ignored.
	add(event) {
		if (!isAfter(event.sequence, this.lastSequence)) return false;
		this.lastSequence = event.sequence;
		const at = Date.parse(event.eventTime);
		this.start = Math.min(this.start, at);
		this.end = Math.max(this.end, at);
		this.eventCount += 1;
		const lane = this.laneOf(event);
		lane.eventCount += 1;
		lane.layers.add(LAYER_OF.get(event.name));
		lane.names.add(event.name);
		const about = event.remoteParticipantId ?? event.destinationSessionId ?? "";
		const code = event.errorCode ?? event.recording?.errorCode;
		if (event.name in STARTS) lane.start(STARTS[event.name], about, at);
		else if (event.name in ENDS) lane.end(ENDS[event.name], about, at, event.cause ?? "");
		else if (event.name === "TOKEN_EXCHANGED") lane.exchanges.push({ at, name: event.name });
		if (code) lane.errors.push({ at, name: event.name, code, detail: event.detail ?? "", cause: event.cause ?? "" });
		if (event.name === "JOINED") this.openCount += 1;
		if (event.name === "LEFT") this.openCount -= 1;
		return true;
	}

	laneOf(event) {
		let lane = this.lanesById.get(event.participantId);
		if (!lane) {
			lane = new Lane(event);
			this.lanesById.set(lane.id, lane);
			this.lanes.push(lane);
		}
		return lane;
	}

	nameOf(participantId) {
		return this.lanesById.get(participantId)?.name ?? participantId;
	}

	// The lanes whose participant matches a text, that have something of at least one of the layers, and, with a name,
	// an event of that name.
	find(text, layers, name) {
		const wanted = text.trim().toLowerCase();
		return this.lanes.filter(
			(lane) =>
				(!wanted || lane.id.toLowerCase().includes(wanted) || lane.userId.toLowerCase().includes(wanted)) &&
				[...lane.layers].some((layer) => layers.has(layer)) &&
				(!name || lane.names.has(name)),
		);
	}
}

// Calls `visit` for the bars of a row that overlap a period, newest first.
export function visitBars(bars, from, to, visit) {
	let low = 0;
	let high = bars.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (bars[middle].start <= to) low = middle + 1;
		else high = middle;
	}
	for (let index = low - 1; index >= 0 && bars[index].end >= from; index -= 1) visit(bars[index]);
}
