// The cells of an event in the tables of several pages. SPDX-License-Identifier: Apache-2.0

import { causeText, errorCodeText, errorMeaning } from "../explanations.js";
import { duration } from "../format.js";
import { compositionLink, idOf, participantLink, sessionLink, stageLink } from "../router.js";
import { html } from "../vendor/vendor.js";
import { Badge, CopyButton, EventBadge, Time } from "./parts.js";

export const ErrorExplanation = ({ code }) => {
	const [meaning, remedy] = errorMeaning(code) ?? ["", ""];
	return html`<span class="explanation"><code>${code}</code>${meaning && html`<span>${meaning} ${remedy}</span>`}</span>`;
};

export const Cause = ({ cause }) =>
	cause ? html`<span class="explanation"><code>${cause}</code>${cause !== "client" && html`<span>${causeText(cause)}</span>`}</span>` : html`<span class="muted">–</span>`;

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
		// An event of a composition has neither a participant nor a session.
		render: (event) => event.participantId && html`<span class="stack ids">
			<${ParticipantName} event=${event} />${event.userId && html`<code class="muted">${event.participantId}</code>`}
		</span>`,
	},
	where: {
		title: "Stage and session",
		render: ({ stageArn, sessionId }) => html`<span class="stack ids where">
			<a href=${stageLink(stageArn)}>${idOf(stageArn)}</a>${sessionId && html`<a href=${sessionLink(sessionId)}>${sessionId}</a>`}
		</span>`,
	},
	about: { title: "About", kind: "wide", render: (event) => html`<${About} event=${event} />` },
	cause: { title: "Cause", kind: "wide", render: (event) => html`<${Cause} cause=${event.cause} />` },
	position: { title: "Id and sequence", render: ({ id, sequence }) => html`<span class="stack ids"><code>${id}</code><code class="muted">${sequence}</code></span>` },
	detail: { title: "Detail", kind: "wide", render: (event) => event.detail || html`<span class="muted">–</span>` },
};

// Whom or what the event is about: the watched participant, the other stage, the error, the tokens.
function About({ event }) {
	const { remoteParticipantId: remote, destinationStageArn: destination, errorCode, previousToken, newToken, recording } = event;
	const parts = [];
	if (event.compositionArn) parts.push(html`<span>composition <a href=${compositionLink(event.compositionArn)}>${idOf(event.compositionArn)}</a></span>`);
	if (event.destinationId) parts.push(html`<span>destination <code>${event.destinationId}</code></span>`);
	if (remote) {
		parts.push(html`<a href=${participantLink(event.stageArn, event.sessionId, remote)}><code>${remote}</code></a>`);
	}
	if (destination) {
		parts.push(html`<span>to stage <a href=${stageLink(destination)}>${idOf(destination)}</a>, session <a href=${sessionLink(event.destinationSessionId)}>${event.destinationSessionId}</a></span>`);
	}
	if (errorCode) parts.push(html`<${ErrorExplanation} code=${errorCode} />`);
	if (newToken) parts.push(html`<span>${tokenText(previousToken)} → ${tokenText(newToken)}</span>`);
	if (recording) parts.push(html`<${RecordingPlace} bucket=${recording.s3BucketName} prefix=${recording.s3Prefix} />`);
	if (recording?.durationMs !== undefined) parts.push(html`<span>${duration(recording.durationMs)} long</span>`);
	if (recording?.errorCode) parts.push(html`<${ErrorExplanation} code=${recording.errorCode} />`);
	return parts.length ? html`<span class="stack">${parts}</span>` : html`<span class="muted">–</span>`;
}

// Where a recording is: below this key prefix of the bucket.
export const RecordingPlace = ({ bucket, prefix }) => html`<span class="recording-place"><code>${bucket}/<wbr />${prefix}</code><${CopyButton} text=${`${bucket}/${prefix}`} what="place of the recording" /></span>`;

const tokenText = ({ capabilities, userId }) => `${capabilities.join(" and ") || "no capability"}${userId ? `, user ${userId}` : ""}`;

export const shortError = (event) => `${event.errorCode}: ${errorCodeText(event.errorCode)}`;
