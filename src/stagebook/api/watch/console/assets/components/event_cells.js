// The cells of an event in the tables of several pages. SPDX-License-Identifier: Apache-2.0

import { CAUSES, ERROR_CODES, errorCodeText } from "../explanations.js";
import { idOf, participantLink, sessionLink, stageLink } from "../router.js";
import { html } from "../vendor/vendor.js";
import { Badge, EventBadge, Time } from "./parts.js";

export const ErrorExplanation = ({ code }) => {
	const [meaning, remedy] = ERROR_CODES[code] ?? ["", ""];
	return html`<span class="explanation"><code>${code}</code>${meaning && html`<span>${meaning} ${remedy}</span>`}</span>`;
};

export const Cause = ({ cause }) =>
	cause ? html`<span class="explanation"><code>${cause}</code>${cause !== "client" && html`<span>${CAUSES[cause] ?? ""}</span>`}</span>` : html`<span class="muted">–</span>`;

export const ParticipantName = ({ event }) => html`<a href=${participantLink(event.stageArn, event.sessionId, event.participantId)}>
	${event.userId || event.participantId}
</a>`;

export const COLUMNS = {
	time: { title: "Time", render: (event) => html`<${Time} iso=${event.eventTime} />` },
	name: {
		title: "Event",
		render: (event) => html`<span class="badges"><${EventBadge} name=${event.name} />${event.replica && html`<${Badge} tone="purple">replica<//>`}</span>`,
	},
	participant: {
		title: "Participant",
		render: (event) => html`<span class="stack ids">
			<${ParticipantName} event=${event} />${event.userId && html`<code class="muted">${event.participantId}</code>`}
		</span>`,
	},
	where: {
		title: "Stage and session",
		render: ({ stageArn, sessionId }) => html`<span class="stack ids where">
			<a href=${stageLink(stageArn)}>${idOf(stageArn)}</a><a href=${sessionLink(sessionId)}>${sessionId}</a>
		</span>`,
	},
	about: { title: "About", kind: "wide", render: (event) => html`<${About} event=${event} />` },
	cause: { title: "Cause", kind: "wide", render: (event) => html`<${Cause} cause=${event.cause} />` },
	position: { title: "Id and sequence", render: ({ id, sequence }) => html`<span class="stack ids"><code>${id}</code><code class="muted">${sequence}</code></span>` },
	detail: { title: "Detail", kind: "wide", render: (event) => event.detail || html`<span class="muted">–</span>` },
};

// Whom or what the event is about: the watched participant, the other stage, the error, the tokens.
function About({ event }) {
	const { remoteParticipantId: remote, destinationStageArn: destination, errorCode, previousToken, newToken } = event;
	const parts = [];
	if (remote) {
		parts.push(html`<a href=${participantLink(event.stageArn, event.sessionId, remote)}><code>${remote}</code></a>`);
	}
	if (destination) {
		parts.push(html`<span>to stage <a href=${stageLink(destination)}>${idOf(destination)}</a>, session <a href=${sessionLink(event.destinationSessionId)}>${event.destinationSessionId}</a></span>`);
	}
	if (errorCode) parts.push(html`<${ErrorExplanation} code=${errorCode} />`);
	if (newToken) parts.push(html`<span>${tokenText(previousToken)} → ${tokenText(newToken)}</span>`);
	return parts.length ? html`<span class="stack">${parts}</span>` : html`<span class="muted">–</span>`;
}

const tokenText = ({ capabilities, userId }) => `${capabilities.join(" and ") || "no capability"}${userId ? `, user ${userId}` : ""}`;

export const shortError = (event) => `${event.errorCode}: ${errorCodeText(event.errorCode)}`;
