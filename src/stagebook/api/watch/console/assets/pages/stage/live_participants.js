// The participants that are on a stage now. SPDX-License-Identifier: Apache-2.0

import { call } from "../../api.js";
import { FormDialog } from "../../components/dialog.js";
import { Badge, Empty, Field, Loaded, RecordingBadge, Time } from "../../components/parts.js";
import { Table } from "../../components/table.js";
import { toast } from "../../components/toasts.js";
import { useData } from "../../data.js";
import { plural } from "../../format.js";
import { participantLink } from "../../router.js";
import { connectedParticipants } from "../../stages.js";
import { html, useEffect, useRef, useState } from "../../vendor/vendor.js";
import { ReplicationDialog } from "./replication_dialog.js";

const nameOf = ({ userId, participantId }) => userId || participantId;

export function LiveParticipants({ stage, changes, isOperator }) {
	const { arn, activeSessionId: sessionId } = stage;
	const load = async (signal) => (sessionId ? connectedParticipants(arn, sessionId, signal) : { items: [], hasMore: false });
	const state = useData(load, [arn, sessionId]);
	const [dialog, setDialog] = useState(null);
	const seen = useRef(changes);
	useEffect(() => {
		if (seen.current !== changes) state.reload();
		seen.current = changes;
	}, [changes]);
	const close = () => setDialog(null);
	return html`
		<section class="card flush" aria-labelledby="live-heading">
			<header>
				<h2 id="live-heading">On the stage now</h2>
				<span class="muted end" role="status">${state.data && plural(state.data.items.length, "participant")}</span>
			</header>
			<${Loaded} state=${state} what="Loading the participants">
				${({ items, hasMore }) => html`<${Participants} items=${items} hasMore=${hasMore} stage=${stage} isOperator=${isOperator} onAct=${(kind, participant) => setDialog({ kind, participant })} />`}
			<//>
		</section>
		${dialog?.kind === "disconnect" && html`<${DisconnectDialog} stage=${stage} participant=${dialog.participant} onClose=${close} />`}
		${dialog?.kind === "replicate" && html`<${ReplicationDialog} stage=${stage} participant=${dialog.participant} onClose=${close} />`}
	`;
}

function Participants({ items, hasMore, stage, isOperator, onAct }) {
	if (!items.length) {
		return html`<${Empty} title="Nobody is on the stage">Create a token and give it to a participant, join from this browser, or publish with an encoder and an ingest key.<//>`;
	}
	const columns = [
		{
			title: "Participant",
			render: (each) => html`<a href=${participantLink(stage.arn, stage.activeSessionId, each.participantId)}>${nameOf(each)}</a>${each.userId && html` <code class="muted">${each.participantId}</code>`}`,
		},
		{
			title: "State",
			render: ({ published, replicationType, recordingState }) => html`<span class="badges">
				<${Badge} tone=${published ? "blue" : "green"}>${published ? "has published" : "connected"}<//>
				${replicationType === "SOURCE" && html`<${Badge} tone="purple">replicated<//>`}
				${replicationType === "REPLICA" && html`<${Badge} tone="purple">replica<//>`}
				<${RecordingBadge} state=${recordingState} />
			</span>`,
		},
		{ title: "First joined", render: ({ firstJoinTime }) => html`<${Time} iso=${firstJoinTime} isShort />` },
	];
	if (isOperator) {
		columns.push({
			title: "Actions",
			kind: "actions",
			render: (each) => html`
				${each.replicationType !== "REPLICA" && html`<button type="button" aria-label=${`Replicate ${nameOf(each)}`} onClick=${() => onAct("replicate", each)}>Replicate</button>`}
				<button type="button" class="dangerous" aria-label=${`Disconnect ${nameOf(each)}`} onClick=${() => onAct("disconnect", each)}>Disconnect</button>
			`,
		});
	}
	return html`<${Table} caption="Participants on the stage" columns=${columns} groups=${[items]} keyOf=${({ participantId }) => participantId} />
		${hasMore && html`<p class="more muted">Only the newest ${plural(items.length, "participant")} are shown.</p>`}`;
}

function DisconnectDialog({ stage, participant, onClose }) {
	const disconnect = async (form) => {
		const reason = form.get("reason");
		await call("DisconnectParticipant", { stageArn: stage.arn, participantId: participant.participantId, ...(reason && { reason }) });
		toast(`${nameOf(participant)} was disconnected`);
	};
	return html`<${FormDialog} title="Disconnect the participant?" submitLabel="Disconnect" isDangerous onSubmit=${disconnect} onClose=${onClose}>
		<p><strong>${nameOf(participant)}</strong> is disconnected at once, and cannot come back with the same token.</p>
		<${Field} label="Reason" hint="The participant's client is told this. It may be empty.">
			<input name="reason" maxlength="128" autocomplete="off" />
		<//>
	<//>`;
}
