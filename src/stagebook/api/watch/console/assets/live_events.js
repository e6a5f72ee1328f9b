// New events of the book while they happen (server-sent events). SPDX-License-Identifier: Apache-2.0
// The browser reconnects by itself and continues after the last event it has received (Last-Event-ID).

import { get, queryOf } from "./api.js";
import { useEffect, useRef, useState } from "./vendor/vendor.js";

const RETRY_MS = 5_000;

// Opens a stream of the events that match `filters`. Returns a function that closes it. A page in the background has
// none, because a browser opens only a few connections to one server; it catches up when it is shown again.
export function openEventStream(filters, { onEvent, onState }) {
	let source = null;
	let timer;
	let lastId = "";
	const close = () => {
		clearTimeout(timer);
		source?.close();
		source = null;
	};
	const open = () => {
		close();
		onState("connecting");
		source = new EventSource(`/watch/v1/events/stream${queryOf({ ...filters, last_event_id: lastId })}`);
		source.onopen = () => onState("live");
		source.onmessage = ({ data, lastEventId }) => {
			lastId = lastEventId;
			onEvent(JSON.parse(data));
		};
		source.onerror = () => {
			onState("connecting");
			// The browser connects again by itself, unless the server has refused the stream.
			if (source.readyState === EventSource.CLOSED) timer = setTimeout(retry, RETRY_MS);
		};
	};
	// Nobody may be signed in any more: then the request tells the page.
	const retry = () => get("/me").then(open, () => (timer = setTimeout(retry, RETRY_MS)));
	const follow = () => (document.hidden ? close() : open());
	document.addEventListener("visibilitychange", follow);
	open();
	return () => {
		document.removeEventListener("visibilitychange", follow);
		close();
	};
}

// The state of a stream ("off", "connecting", "live") whose events go to `onEvent`. Without filters there is none. `onOpen` is
// called when the stream has opened, also again: what was loaded before can lack what happened in between.
export function useLiveEvents(filters, onEvent, onOpen = () => {}) {
	const [state, setState] = useState("off");
	const latest = useRef({});
	latest.current = { onEvent, onOpen };
	const key = filters ? queryOf(filters) : null;
	useEffect(() => {
		if (key === null) return setState("off");
		const onState = (next) => {
			setState(next);
			if (next === "live") latest.current.onOpen();
		};
		return openEventStream(filters, { onEvent: (event) => latest.current.onEvent(event), onState });
	}, [key]);
	return state;
}
