// Loading data for a page. SPDX-License-Identifier: Apache-2.0

import { useCallback, useEffect, useRef, useState } from "./vendor/vendor.js";

// Calls `load(signal)` now, when a dependency changes, and on `reload`. Former data stays while new data loads.
export function useData(load, dependencies) {
	const [state, setState] = useState({ data: null, error: null, isLoading: true });
	const current = useRef({ run: () => {} });
	useEffect(() => {
		let abort;
		let isEnded = false;
		const run = async () => {
			abort?.abort();
			const mine = (abort = new AbortController());
			setState((former) => ({ ...former, isLoading: true }));
			try {
				const data = await load(mine.signal);
				if (!isEnded && mine === abort) setState({ data, error: null, isLoading: false });
			} catch (error) {
				if (isEnded || mine !== abort) return;
				setState((former) => ({ ...former, error, isLoading: false }));
			}
		};
		setState({ data: null, error: null, isLoading: true });
		current.current = { run };
		run();
		return () => {
			isEnded = true;
			abort?.abort();
		};
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
