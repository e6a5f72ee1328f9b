// One stage: who is there now, its sessions, compositions, tokens and ingest keys. SPDX-License-Identifier: Apache-2.0

import { call } from "../api.js";
import { Breadcrumbs } from "../components/breadcrumbs.js";
import { FormDialog } from "../components/dialog.js";
import { Badge, Identifier, LiveState, Loaded } from "../components/parts.js";
import { toast } from "../components/toasts.js";
import { useData, usePaced } from "../data.js";
import { useLiveEvents } from "../live_events.js";
import { idOf, joinLink, overviewLink, sessionLink, stageLink } from "../router.js";
import { stageArn } from "../stages.js";
import { html, useState } from "../vendor/vendor.js";
import { IngestKeys } from "./stage/ingest_keys.js";
import { LiveParticipants } from "./stage/live_participants.js";
import { StageCompositions } from "./stage/stage_compositions.js";
import { StageSessions } from "./stage/stage_sessions.js";
import { StageTokens } from "./stage/stage_tokens.js";

const TABS = [
	["live", "Live", LiveParticipants],
	["sessions", "Sessions", StageSessions],
	["compositions", "Compositions", StageCompositions],
	["tokens", "Tokens", StageTokens],
	["ingest", "Ingest keys", IngestKeys],
];
const PACE_MS = 500;

export function StagePage({ stageId, tab = "live", identity }) {
	const state = useData(async (signal) => (await call("GetStage", { arn: stageArn(stageId, identity) }, signal)).stage, [stageId]);
	return html`
		<${Breadcrumbs} links=${[["Overview", overviewLink()]]} />
		${state.data
			? html`<${Stage} stage=${state.data} tab=${tab} identity=${identity} onChanged=${state.reload} />`
			: html`<h1 tabindex="-1">Stage ${stageId}</h1><${Loaded} state=${state} what="Loading the stage" />`}
	`;
}

function Stage({ stage, tab, identity, onChanged }) {
	const [isDeleting, setDeleting] = useState(false);
	const [changes, setChanges] = useState(0);
	const notice = usePaced(() => {
		onChanged();
		setChanges((count) => count + 1);
	}, PACE_MS);
	const live = useLiveEvents({ stage: stage.arn }, notice, notice);
	const isOperator = identity.role !== "reader";
	const View = TABS.find(([name]) => name === tab)[2];
	return html`
		<div class="heading">
			<h1 tabindex="-1">${stage.name || idOf(stage.arn)}</h1>
			${stage.activeSessionId ? html`<${Badge} tone="green">live<//>` : html`<${Badge}>idle<//>`}
			<${LiveState} state=${live} />
			${isOperator &&
			html`<div class="actions">
				<a class="button primary" href=${joinLink(stage.arn)}>Join from this browser</a>
				<button type="button" class="dangerous" onClick=${() => setDeleting(true)}>Delete the stage</button>
			</div>`}
		</div>
		<div class="subheading">
			<${Identifier} text=${stage.arn} what="ARN of the stage" />
			${stage.activeSessionId && html`<span>Session <a href=${sessionLink(stage.activeSessionId)}>${stage.activeSessionId}</a></span>`}
			${Object.entries(stage.tags ?? {}).map(([key, value]) => html`<span key=${key}>${key}: ${value}</span>`)}
		</div>
		<nav class="tabs" aria-label="Stage">
			${TABS.map(([name, label]) => html`<a key=${name} href=${stageLink(stage.arn, name)} aria-current=${name === tab ? "page" : undefined}>${label}</a>`)}
		</nav>
		<${View} key=${tab} stage=${stage} changes=${changes} isOperator=${isOperator} />
		${isDeleting && html`<${DeleteStageDialog} stage=${stage} onClose=${() => setDeleting(false)} />`}
	`;
}

function DeleteStageDialog({ stage, onClose }) {
	const remove = async () => {
		await call("DeleteStage", { arn: stage.arn });
		toast("The stage was deleted");
		location.hash = overviewLink();
	};
	return html`<${FormDialog} title="Delete the stage?" submitLabel="Delete" isDangerous onSubmit=${remove} onClose=${onClose}>
		<p>All participants of <strong>${stage.name || idOf(stage.arn)}</strong> are disconnected, and its tokens no longer work. This cannot be undone. The events stay in the book.</p>
	<//>`;
}
