// Small parts of pages: badges, notices, fields, definitions, icons. SPDX-License-Identifier: Apache-2.0

import { errorText } from "../api.js";
import { RECORDING_STATES, eventText, toneOf } from "../explanations.js";
import { shortTime, time } from "../format.js";
import { html } from "../vendor/vendor.js";
import { copy } from "./toasts.js";

const PATHS = {
	copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z",
	sun: "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.400 1.400M11.600 11.600 13 13M13 3l-1.400 1.400M4.400 11.600 3 13M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
	moon: "M13.500 9.800A6 6 0 0 1 6.200 2.500a6 6 0 1 0 7.300 7.300z",
	chevron: "M6 3.500 10.500 8 6 12.500",
};

export const Icon = ({ name }) =>
	html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;

export const Badge = ({ tone = "grey", title, children }) => html`<span class="badge ${tone}" title=${title}>${children}</span>`;

export const EventBadge = ({ name }) => html`<${Badge} tone=${toneOf(name)} title=${eventText(name)}>${name}<//>`;

// Nothing for a participant that is not recorded.
export function RecordingBadge({ state }) {
	const [text, tone, explanation] = RECORDING_STATES[state] ?? [];
	return text ? html`<${Badge} tone=${tone} title=${explanation}>${text}<//>` : null;
}

export const Loading = ({ what = "Loading" }) =>
	html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${what} …</p>`;

export const Empty = ({ title, children }) =>
	html`<div class="empty"><p class="empty-title">${title}</p>${children && html`<p>${children}</p>`}</div>`;

export const Problem = ({ error, onRetry }) =>
	html`<div class="problem" role="alert">
		<p>${errorText(error)}</p>
		${onRetry && html`<button type="button" onClick=${onRetry}>Try again</button>`}
	</div>`;

// What `useData` has: the error, a loading note, or the children once there is data.
export function Loaded({ state, what, children }) {
	if (state.data === null) {
		return state.error ? html`<${Problem} error=${state.error} onRetry=${state.reload} />` : html`<${Loading} what=${what} />`;
	}
	return html`${state.error && html`<${Problem} error=${state.error} onRetry=${state.reload} />`}${children(state.data)}`;
}

export const Time = ({ iso, isShort = false }) =>
	iso ? html`<time datetime=${iso} title=${iso}>${isShort ? shortTime(iso) : time(iso)}</time>` : html`<span class="muted">–</span>`;

// `what` names the text: "Copied: stage ARN".
export const CopyButton = ({ text, what, label }) =>
	label
		? html`<button type="button" onClick=${() => copy(text, what)}><${Icon} name="copy" />${label}</button>`
		: html`<button type="button" class="quiet icon" aria-label=${`Copy the ${what}`} title=${`Copy the ${what}`} onClick=${() => copy(text, what)}>
				<${Icon} name="copy" />
			</button>`;

export const Identifier = ({ text, what }) =>
	html`<span class="identifier"><code>${text}</code><${CopyButton} text=${text} what=${what} /></span>`;

// `children` is one input, select or textarea; the label and the hint belong to it by nesting.
export const Field = ({ label, hint, children }) =>
	html`<label class="field"><span class="label">${label}</span>${children}${hint && html`<span class="hint">${hint}</span>`}</label>`;

export const Check = ({ name, label, ...options }) =>
	html`<label class="check"><input type="checkbox" name=${name} ...${options} /><span>${label}</span></label>`;

export function Definitions({ entries }) {
	const present = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
	return html`<dl class="definitions">
		${present.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
	</dl>`;
}

export const LiveState = ({ state }) =>
	html`<span class="live-state ${state}" role="status">
		<span class="dot" aria-hidden="true"></span>${state === "live" ? "Live" : state === "connecting" ? "Connecting …" : "Not live"}
	</span>`;
