// New events of the book while they happen (server-sent events). SPDX-License-Identifier: Apache-2.0
// The browser reconnects by itself and continues after the last event it has received (Last-Event-ID).

import { queryOf } from "./api.js";
import { useEffect, useRef, useState } from "./vendor/vendor.js";

const RETRY_MS = 5_000;

// Opens a stream of the events that match `filters`. Returns a function that closes it.
export function openEventStream(filters, { onEvent, onState }) {
	let source;
	let timer;
	let lastId = "";
	const open = () => {
		source = new EventSource(`/watch/v1/events/stream${queryOf({ ...filters, ...(lastId && { after: lastId }) })}`);
		onState("connecting");
		source.onopen = () => onState("live");
		source.onmessage = ({ data, lastEventId }) => {
			lastId = lastEventId;
			onEvent(JSON.parse(data));
		};
		source.onerror = () => {
			onState("connecting");
			if (source.readyState !== EventSource.CLOSED) return; // the browser connects again
			clearTimeout(timer);
			timer = setTimeout(open, RETRY_MS);
		};
	};
	open();
	return () => {
		clearTimeout(timer);
		source.onerror = null;
		source.close();
	};
}

// The state of a stream ("off", "connecting", "live") whose events go to `onEvent`. Without filters there is none.
export function useLiveEvents(filters, onEvent) {
	const [state, setState] = useState("off");
	const latest = useRef(onEvent);
	latest.current = onEvent;
	const key = filters ? queryOf(filters) : null;
	useEffect(() => {
		if (key === null) return setState("off");
		return openEventStream(filters, { onEvent: (event) => latest.current(event), onState: setState });
	}, [key]);
	return state;
}
