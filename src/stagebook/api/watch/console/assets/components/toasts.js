// Short messages about what has just happened. SPDX-License-Identifier: Apache-2.0

import { errorText } from "../api.js";
import { html, useEffect, useState } from "../vendor/vendor.js";

const SHOWN_MS = 5_000;
const listeners = new Set();
let toasts = [];
let count = 0;

function change(next) {
	toasts = next;
	for (const listener of listeners) listener(toasts);
}

const dismiss = (id) => change(toasts.filter((each) => each.id !== id));

export function toast(text, tone = "plain") {
	const id = (count += 1);
	change([...toasts.slice(-3), { id, text, tone }]);
	if (tone !== "error") setTimeout(() => dismiss(id), SHOWN_MS);
}

// Stays until it is dismissed: an error must not vanish while it is read.
export const toastError = (error) => toast(errorText(error), "error");

export async function copy(text, what) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		if (!copyBySelection(text)) {
			toast(`The browser does not let this page copy. Select the ${what} and copy it by hand.`, "error");
			return;
		}
	}
	toast(`Copied: ${what}`);
}

// For pages that were not loaded over https or from this machine: they have no clipboard.
function copyBySelection(text) {
	const field = document.createElement("textarea");
	field.value = text;
	field.className = "visually-hidden";
	const parent = document.querySelector("dialog[open]") ?? document.body;
	const focused = document.activeElement;
	parent.append(field);
	field.select();
	const isCopied = document.execCommand("copy");
	field.remove();
	focused?.focus();
	return isCopied;
}

export function Toasts() {
	const [shown, setShown] = useState(toasts);
	useEffect(() => {
		listeners.add(setShown);
		return () => listeners.delete(setShown);
	}, []);
	return html`<div class="toasts" role="status" aria-live="polite">
		${shown.map(
			({ id, text, tone }) => html`<div key=${id} class="toast ${tone}">
				<span>${text}</span>
				<button type="button" class="quiet icon" aria-label="Dismiss this message" onClick=${() => dismiss(id)}>×</button>
			</div>`,
		)}
	</div>`;
}
