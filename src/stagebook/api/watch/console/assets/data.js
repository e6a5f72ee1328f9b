// Loading data for a page. SPDX-License-Identifier: Apache-2.0

import { busyMs, pause } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./vendor/vendor.js";

// Calls `load(signal)` now, when a dependency changes, and on `reload`. Former data stays while new data loads. Data that the
// server is too busy for, for example while it builds the index of a large book, is loaded again when it says so. A reload
// during a load follows it: a load that takes longer than the time between two reloads must come to its end.
export function useData(load, dependencies) {
	const [state, setState] = useState({ data: null, error: null, isLoading: true });
	const current = useRef({ run: async () => {} });
	useEffect(() => {
		const abort = new AbortController();
		const isEnded = () => abort.signal.aborted;
		let isRunning = false;
		let isWanted = false;
		const change = (members) => isEnded() || setState((former) => ({ ...former, ...members }));
		const run = async () => {
			isWanted = true;
			if (isRunning) return;
			isRunning = true;
			while (isWanted && !isEnded()) {
				isWanted = false;
				change({ isLoading: true });
				try {
					change({ data: await load(abort.signal), error: null, isLoading: false });
				} catch (error) {
					change({ error, isLoading: false });
					if (!busyMs(error)) continue;
					await pause(busyMs(error));
					isWanted = true;
				}
			}
			isRunning = false;
		};
		setState({ data: null, error: null, isLoading: true });
		current.current = { run };
		run();
		return () => abort.abort();
	}, dependencies);
	const reload = useCallback(() => current.current.run(), []);
	return { ...state, reload };
}

// A function that calls `action` at most once in `periodMs`, the last time after the last call.
export function usePaced(action, periodMs) {
	const latest = useRef(action);
	latest.current = action;
	const pace = useRef({ timer: 0, calledAt: -Infinity });
	useEffect(() => () => clearTimeout(pace.current.timer), []);
	return useCallback(() => {
		const state = pace.current;
		if (state.timer) return;
		const run = () => {
			Object.assign(state, { timer: 0, calledAt: performance.now() });
			latest.current();
		};
		state.timer = setTimeout(run, Math.max(50, state.calledAt + periodMs - performance.now()));
	}, []);
}

// Calls `action` every `periodMs` while the page is visible.
export function useInterval(action, periodMs) {
	const latest = useRef(action);
	latest.current = action;
	useEffect(() => {
		const timer = setInterval(() => document.hidden || latest.current(), periodMs);
		return () => clearInterval(timer);
	}, [periodMs]);
}
