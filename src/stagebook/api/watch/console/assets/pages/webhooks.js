// The webhook destinations with their state and backlog. SPDX-License-Identifier: Apache-2.0

import { get, post } from "../api.js";
import { Dialog, FormDialog } from "../components/dialog.js";
import { Badge, Check, CopyButton, Empty, Field, Loaded, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { useData, useInterval } from "../data.js";
import { COMPOSITION_EVENT_NAMES, PARTICIPANT_EVENT_NAMES } from "../explanations.js";
import { number } from "../format.js";
import { webhookLink } from "../router.js";
import { html, useState } from "../vendor/vendor.js";

const REFRESH_MS = 5_000;

export function WebhooksPage({ identity }) {
	const state = useData((signal) => get("/webhooks", {}, signal), []);
	const [isCreating, setCreating] = useState(false);
	const [created, setCreated] = useState(null);
	useInterval(state.reload, REFRESH_MS);
	return html`
		<div class="heading">
			<h1 tabindex="-1">Webhooks</h1>
			${identity.role !== "reader" && html`<div class="actions"><button type="button" class="primary" onClick=${() => setCreating(true)}>Create a webhook</button></div>`}
		</div>
		<section class="card flush" aria-label="Destinations">
			<${Loaded} state=${state} what="Loading the webhooks">${({ webhooks }) => html`<${Destinations} webhooks=${webhooks} />`}<//>
		</section>
		${isCreating && html`<${CreateDialog} onCreated=${(webhook) => (setCreated(webhook), state.reload())} onClose=${() => setCreating(false)} />`}
		${created && !isCreating && html`<${SecretDialog} webhook=${created} onClose=${() => setCreated(null)} />`}
	`;
}

export const WebhookState = ({ webhook }) => {
	if (!webhook.enabled) return html`<${Badge} tone="amber">disabled<//>`;
	const { pendingEvents = 0, blockedSessions = 0 } = webhook.backlog ?? {};
	if (blockedSessions) return html`<${Badge} tone="red">failing<//>`;
	return html`<${Badge} tone=${pendingEvents ? "blue" : "green"}>${pendingEvents ? "delivering" : "up to date"}<//>`;
};

function Destinations({ webhooks }) {
	if (!webhooks.length) {
		return html`<${Empty} title="There is no webhook">A webhook sends each event to an HTTP endpoint, or to Amazon EventBridge, SNS or SQS, at least once and in the order of each session.<//>`;
	}
	const columns = [
		{ title: "Destination", render: ({ id, name, target }) => html`<span class="stack"><a href=${webhookLink(id)}>${name || id}</a><code class="muted">${target}</code></span>` },
		{ title: "Kind", render: ({ kind }) => kind },
		{ title: "State", render: (webhook) => html`<${WebhookState} webhook=${webhook} />` },
		{ title: "Waiting", kind: "number", render: ({ backlog }) => (backlog ? `${number(backlog.pendingEvents)}${backlog.isComplete ? "" : "+"}` : "–") },
		{ title: "Oldest", render: ({ backlog }) => html`<${Time} iso=${backlog?.oldestEventTime} isShort />` },
		{ title: "Delivered", kind: "number", render: ({ backlog }) => (backlog ? number(backlog.delivered) : "–") },
		{ title: "Given up", kind: "number", render: ({ backlog }) => (backlog ? number(backlog.deadLetters) : "–") },
	];
	return html`<${Table} caption="Webhook destinations" columns=${columns} groups=${[webhooks]} keyOf=${({ id }) => id} />`;
}

function CreateDialog({ onCreated, onClose }) {
	const create = async (form) => {
		const name = form.getAll("event");
		onCreated(await post("/webhooks", {
			target: form.get("target"),
			format: form.get("format"),
			...(form.get("name") && { name: form.get("name") }),
			...(name.length && { filter: { name } }),
		}));
	};
	return html`<${FormDialog} title="Create a webhook" submitLabel="Create" onSubmit=${create} onClose=${onClose}>
		<${Field} label="Address" hint="Events are sent to it from now on, by POST. The command line also makes destinations that are AWS services.">
			<input name="target" type="url" required placeholder="https://…" autocomplete="off" spellcheck=${false} />
		<//>
		<${Field} label="Name" hint="It may be empty."><input name="name" maxlength="64" autocomplete="off" /><//>
		<${Field} label="Format">
			<select name="format"><option value="eventbridge">EventBridge</option><option value="cloudevents">CloudEvents</option></select>
		<//>
		<${Names} legend="Events" names=${PARTICIPANT_EVENT_NAMES} />
		<${Names} legend="Events of compositions" names=${COMPOSITION_EVENT_NAMES} />
		<span class="hint">Without a choice, all events are sent.</span>
	<//>`;
}

function Names({ legend, names }) {
	return html`<fieldset>
		<legend>${legend}</legend>
		<div class="choices">${names.map((name) => html`<${Check} key=${name} name="event" value=${name} label=${name} />`)}</div>
	</fieldset>`;
}

function SecretDialog({ webhook, onClose }) {
	return html`<${Dialog} title="The webhook was created" onClose=${onClose}>
		<div class="dialog-body">
			<p>The receiver verifies the signatures with this secret. It is not shown again.</p>
			<pre><code>${webhook.secret}</code></pre>
		</div>
		<footer>
			<${CopyButton} text=${webhook.secret} what="secret" label="Copy the secret" />
			<button type="button" class="primary" onClick=${onClose}>Done</button>
		</footer>
	<//>`;
}
