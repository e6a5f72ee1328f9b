// One webhook destination: its deliveries, and the events that were given up. SPDX-License-Identifier: Apache-2.0

import { get, post, remove } from "../api.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { FormDialog } from "../components/dialog.js";
import { Badge, Definitions, Empty, EventBadge, Identifier, Loaded, Time } from "../components/parts.js";
import { Table } from "../components/table.js";
import { toast, toastError } from "../components/toasts.js";
import { useData, useInterval } from "../data.js";
import { number } from "../format.js";
import { sessionLink, webhooksLink } from "../router.js";
import { html, useState } from "../vendor/vendor.js";
import { WebhookState } from "./webhooks.js";

const REFRESH_MS = 3_000;
const LIMIT = 100;
const STATES = { delivered: ["delivered", "green"], retrying: ["trying again", "amber"], dead: ["given up", "red"] };

export function WebhookPage({ webhookId, identity }) {
	const path = `/webhooks/${encodeURIComponent(webhookId)}`;
	const load = async (signal) => {
		const [webhook, { deliveries }, { deadLetters }] = await Promise.all([
			get(path, {}, signal),
			get(`${path}/deliveries`, { limit: LIMIT }, signal),
			get(`${path}/dead-letters`, { limit: LIMIT }, signal),
		]);
		return { webhook, deliveries, deadLetters };
	};
	const state = useData(load, [webhookId]);
	const [isDeleting, setDeleting] = useState(false);
	useInterval(state.reload, REFRESH_MS);
	const webhook = state.data?.webhook;
	const act = (action, done) => async () => {
		try {
			await action();
			toast(done);
			state.reload();
		} catch (error) {
			toastError(error);
		}
	};
	const canChange = webhook && identity.role !== "reader";
	return html`
		<${Breadcrumbs} links=${[["Webhooks", webhooksLink()]]} />
		<div class="heading">
			<h1 tabindex="-1">${webhook?.name || `Webhook ${webhookId}`}</h1>
			${webhook && html`<${WebhookState} webhook=${webhook} />`}
			${canChange &&
			html`<div class="actions">
				<button type="button" onClick=${act(() => post(`${path}/test`, {}), "A test event is being sent")}>Send a test event</button>
				${webhook.enabled
					? html`<button type="button" onClick=${act(() => post(`${path}/disable`, {}), "The webhook was disabled")}>Disable</button>`
					: html`<button type="button" onClick=${act(() => post(`${path}/enable`, {}), "The webhook was enabled")}>Enable</button>`}
				${webhook.managed === "api" && html`<button type="button" class="dangerous" onClick=${() => setDeleting(true)}>Delete</button>`}
			</div>`}
		</div>
		<div class="subheading"><${Identifier} text=${webhookId} what="webhook id" /></div>
		<${Loaded} state=${state} what="Loading the webhook">
			${({ deliveries, deadLetters }) => html`
				<${Description} webhook=${webhook} />
				<${DeadLetters} items=${deadLetters} canChange=${canChange} onReplay=${act(() => post(`${path}/replay`, { deadLetters: true }), "The events are being delivered again")} />
				<${Deliveries} items=${deliveries} />
			`}
		<//>
		${isDeleting && html`<${DeleteDialog} path=${path} name=${webhook.name || webhookId} onClose=${() => setDeleting(false)} />`}
	`;
}

function Description({ webhook }) {
	const { target, kind, format, filter = {}, disabledReason, createdAt, backlog } = webhook;
	const filters = Object.entries(filter).map(([name, value]) => `${name}: ${[value].flat().join(", ")}`);
	return html`<section class="card" aria-label="Destination">
		<${Definitions}
			entries=${[
				["Address", html`<code>${target}</code>`],
				["Kind and format", `${kind}, ${format}`],
				["Events", filters.join("; ") || "all"],
				["Disabled because", disabledReason],
				["Created", html`<${Time} iso=${createdAt} isShort />`],
				["Waiting", backlog && `${number(backlog.pendingEvents)}${backlog.isComplete ? "" : " or more"}`],
				["Failing sessions", backlog && number(backlog.blockedSessions)],
				["Delivered", backlog && number(backlog.delivered)],
				["Failed attempts", backlog && number(backlog.failedAttempts)],
			]}
		/>
	</section>`;
}

const RESULT_COLUMNS = [
	{ title: "Event", render: ({ name }) => html`<${EventBadge} name=${name} />` },
	{ title: "Session", render: ({ sessionId }) => (sessionId ? html`<a href=${sessionLink(sessionId)}>${sessionId}</a>` : html`<span class="muted">–</span>`) },
	{ title: "Attempts", kind: "number", render: ({ attempts }) => number(attempts) },
	{ title: "Answer", render: ({ status, error }) => [status, error].filter(Boolean).join(": ") || html`<span class="muted">–</span>` },
];

function Deliveries({ items }) {
	const columns = [
		{ title: "Last attempt", render: ({ lastAttemptAt }) => html`<${Time} iso=${lastAttemptAt} />` },
		{ title: "State", render: ({ state }) => {
			const [text, tone] = STATES[state] ?? [state, "grey"];
			return html`<${Badge} tone=${tone}>${text}<//>`;
		} },
		...RESULT_COLUMNS,
		{ title: "Next attempt", render: ({ nextAttemptAt }) => html`<${Time} iso=${nextAttemptAt} isShort />` },
	];
	return html`<section class="card flush" aria-labelledby="deliveries-heading">
		<header><h2 id="deliveries-heading">Deliveries</h2><span class="muted">newest first</span></header>
		${items.length
			? html`<${Table} caption="Deliveries" columns=${columns} groups=${[items]} keyOf=${({ eventId, origin, firstAttemptAt }) => `${eventId} ${origin} ${firstAttemptAt}`} />`
			: html`<${Empty} title="Nothing was delivered yet">Send a test event to see whether the receiver answers.<//>`}
	</section>`;
}

function DeadLetters({ items, canChange, onReplay }) {
	if (!items.length) return null;
	const columns = [{ title: "Given up", render: ({ givenUpAt }) => html`<${Time} iso=${givenUpAt} />` }, ...RESULT_COLUMNS];
	return html`<section class="card flush" aria-labelledby="dead-heading">
		<header>
			<h2 id="dead-heading">Events that were given up</h2>
			${canChange && html`<div class="actions"><button type="button" onClick=${onReplay}>Deliver them again</button></div>`}
		</header>
		<${Table} caption="Events that were given up" columns=${columns} groups=${[items]} keyOf=${({ eventId, givenUpAt }) => `${eventId} ${givenUpAt}`} />
	</section>`;
}

function DeleteDialog({ path, name, onClose }) {
	const confirm = async () => {
		await remove(path);
		toast("The webhook was deleted");
		location.hash = webhooksLink();
	};
	return html`<${FormDialog} title="Delete the webhook?" submitLabel="Delete" isDangerous onSubmit=${confirm} onClose=${onClose}>
		<p><strong>${name}</strong> gets no more events. Its position, its history and the events that were given up are deleted.</p>
	<//>`;
}
