// All events of a session in the order of the book, and those that follow. SPDX-License-Identifier: Apache-2.0

import { busyMs, get, pause } from "../../api.js";
import { useLiveEvents } from "../../live_events.js";
import { useEffect, useRef, useState } from "../../vendor/vendor.js";
import { TimelineModel } from "./timeline_model.js";

const PAGE_LENGTH = 500;

// The model of a session. It is filled page by page, then by the live events. `onChange` is called after each change.
export function useSessionEvents(sessionId, onChange) {
	const model = useRef(null);
	model.current ??= new TimelineModel();
	const [state, setState] = useState({ isLoading: true, error: null });
	const latest = useRef(onChange);
	latest.current = onChange;
	const loadPage = async (cursor, signal) => {
		for (;;) {
			try {
				return await get("/events", { session: sessionId, order: "asc", limit: PAGE_LENGTH, cursor }, signal);
			} catch (error) {
				if (!busyMs(error)) throw error;
				await pause(busyMs(error));
			}
		}
	};
	const load = async (signal) => {
		setState({ isLoading: true, error: null });
		try {
			for (let cursor; cursor !== null; ) {
				const page = await loadPage(cursor, signal);
				for (const event of page.events) model.current.add(event);
				cursor = page.nextCursor ?? null;
				latest.current();
			}
			setState({ isLoading: false, error: null });
		} catch (error) {
			if (!signal.aborted) setState({ isLoading: false, error });
		}
	};
	const retry = useRef(() => {});
	useEffect(() => {
		let abort = new AbortController();
		retry.current = () => load((abort = new AbortController()).signal);
		load(abort.signal);
		return () => abort.abort();
	}, [sessionId]);
	// The stream begins where the pages end: events in both are added once. It opens when the pages are complete, and
	// begins at the last moment that they have, so that it misses none.
	const since = Number.isFinite(model.current.end) ? new Date(model.current.end).toISOString() : undefined;
	const first = useRef(undefined);
	if (!state.isLoading && !state.error) first.current ??= since;
	const filters = !state.isLoading && !state.error && first.current ? { session: sessionId, since: first.current } : null;
	const live = useLiveEvents(filters, (event) => model.current.add(event) && latest.current());
	return { model: model.current, live, retry: () => retry.current(), ...state };
}
