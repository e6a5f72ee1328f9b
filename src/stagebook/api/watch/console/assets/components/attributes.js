// Rows of names and values. SPDX-License-Identifier: Apache-2.0

import { html, useState } from "../vendor/vendor.js";

// The attributes as AWS takes them; rows without a name are left out.
export const attributesOf = (entries) => Object.fromEntries(entries.filter(({ name }) => name).map(({ name, value }) => [name, value]));

let count = 0;

// `onChange` gets [{ name, value }].
export function Attributes({ onChange }) {
	const [entries, setEntries] = useState([]);
	const change = (next) => {
		setEntries(next);
		onChange(next);
	};
	const edit = (id, members) => change(entries.map((each) => (each.id === id ? { ...each, ...members } : each)));
	return html`<fieldset>
		<legend>Attributes</legend>
		${entries.map(
			({ id, name, value }, index) => html`<div class="pair" key=${id}>
				<input aria-label=${`Name of attribute ${index + 1}`} placeholder="Name" value=${name} onInput=${(event) => edit(id, { name: event.target.value })} />
				<input aria-label=${`Value of attribute ${index + 1}`} placeholder="Value" value=${value} onInput=${(event) => edit(id, { value: event.target.value })} />
				<button type="button" class="quiet icon" aria-label=${`Remove attribute ${index + 1}`} onClick=${() => change(entries.filter((each) => each.id !== id))}>×</button>
			</div>`,
		)}
		<button type="button" onClick=${() => change([...entries, { id: (count += 1), name: "", value: "" }])}>Add an attribute</button>
	</fieldset>`;
}
