// Modal dialogs. The browser's dialog element keeps the focus inside and gives it back. SPDX-License-Identifier: Apache-2.0

import { errorText } from "../api.js";
import { html, useEffect, useRef, useState } from "../vendor/vendor.js";

let count = 0;

export function Dialog({ title, onClose, children }) {
	const element = useRef(null);
	const id = useRef(`dialog-${(count += 1)}`);
	useEffect(() => {
		const dialog = element.current;
		const opener = document.activeElement;
		dialog.showModal();
		dialog.querySelector("form input, form select, form textarea, footer button")?.focus();
		return () => {
			dialog.close();
			if (opener?.isConnected) opener.focus();
		};
	}, []);
	const cancel = (event) => {
		event.preventDefault();
		onClose();
	};
	return html`<dialog ref=${element} aria-labelledby=${id.current} onCancel=${cancel}>
		<header>
			<h2 id=${id.current}>${title}</h2>
			<button type="button" class="quiet icon" aria-label="Close" onClick=${onClose}>×</button>
		</header>
		${children}
	</dialog>`;
}

// A dialog with a form. `onSubmit` may be asynchronous; the dialog closes when it succeeds, and shows its error if it fails.
export function FormDialog({ title, submitLabel, isDangerous = false, onSubmit, onClose, children }) {
	const [isBusy, setBusy] = useState(false);
	const [error, setError] = useState(null);
	const submit = async (event) => {
		event.preventDefault();
		setBusy(true);
		setError(null);
		try {
			await onSubmit(new FormData(event.target));
			onClose();
		} catch (failure) {
			setError(failure);
			setBusy(false);
		}
	};
	return html`<${Dialog} title=${title} onClose=${onClose}>
		<form onSubmit=${submit}>
			<div class="dialog-body">
				${children}
				<div role="alert">${error && html`<p class="problem">${errorText(error)}</p>`}</div>
			</div>
			<footer>
				<button type="button" onClick=${onClose}>Cancel</button>
				<button type="submit" class=${isDangerous ? "danger" : "primary"} disabled=${isBusy}>${submitLabel}</button>
			</footer>
		</form>
	<//>`;
}
