// Showing a participant on other stages as well. SPDX-License-Identifier: Apache-2.0

import { call, listAll } from "../../api.js";
import { Dialog } from "../../components/dialog.js";
import { Field, Loaded, Problem } from "../../components/parts.js";
import { toast } from "../../components/toasts.js";
import { useData } from "../../data.js";
import { idOf } from "../../router.js";
import { html, useState } from "../../vendor/vendor.js";

export function ReplicationDialog({ stage, participant, onClose }) {
	const source = { sourceStageArn: stage.arn, participantId: participant.participantId };
	const load = async (signal) => {
		const [stages, replicas] = await Promise.all([
			listAll("ListStages", {}, "stages", { limit: 1_000, signal }),
			listAll("ListParticipantReplicas", { ...source, maxResults: 50 }, "replicas", { signal }),
		]);
		const active = replicas.items.filter(({ replicationState }) => replicationState === "ACTIVE").map((each) => each.destinationStageArn);
		return { stages: stages.items.filter(({ arn }) => arn !== stage.arn), active };
	};
	const state = useData(load, [participant.participantId]);
	const [isBusy, setBusy] = useState(false);
	const [error, setError] = useState(null);
	const change = async (operation, destinationStageArn, done) => {
		setBusy(true);
		setError(null);
		try {
			await call(operation, { ...source, destinationStageArn });
			toast(done);
			await state.reload();
		} catch (failure) {
			setError(failure);
		}
		setBusy(false);
	};
	const start = (event) => {
		event.preventDefault();
		change("StartParticipantReplication", new FormData(event.target).get("destination"), "The replication was started");
	};
	const stop = (arn) => change("StopParticipantReplication", arn, "The replication was stopped");
	return html`<${Dialog} title=${`Replication of ${participant.userId || participant.participantId}`} onClose=${onClose}>
		<div class="dialog-body">
			${error && html`<${Problem} error=${error} />`}
			<${Loaded} state=${state} what="Loading the stages">
				${({ stages, active }) => html`
					<${Replicas} stages=${stages} active=${active} isBusy=${isBusy} onStop=${stop} />
					<${StartForm} stages=${stages.filter(({ arn }) => !active.includes(arn))} isBusy=${isBusy} onSubmit=${start} />
				`}
			<//>
		</div>
		<footer><button type="button" onClick=${onClose}>Close</button></footer>
	<//>`;
}

const titleOf = ({ arn, name }) => (name ? `${name} (${idOf(arn)})` : idOf(arn));

function Replicas({ stages, active, isBusy, onStop }) {
	if (!active.length) return html`<p class="muted">The participant is shown on no other stage.</p>`;
	return html`<ul class="feed">
		${active.map((arn) => {
			const title = titleOf(stages.find((stage) => stage.arn === arn) ?? { arn });
			return html`<li key=${arn}>
				<span>${title}</span>
				<button type="button" disabled=${isBusy} aria-label=${`Stop the replication to ${title}`} onClick=${() => onStop(arn)}>Stop</button>
			</li>`;
		})}
	</ul>`;
}

function StartForm({ stages, isBusy, onSubmit }) {
	if (!stages.length) return html`<p>There is no other stage. Create one first.</p>`;
	return html`<form onSubmit=${onSubmit}>
		<${Field} label="Show on stage as well" hint="The participant must be publishing.">
			<select name="destination" required>${stages.map((stage) => html`<option key=${stage.arn} value=${stage.arn}>${titleOf(stage)}</option>`)}</select>
		<//>
		<button type="submit" class="primary" disabled=${isBusy}>Start the replication</button>
	</form>`;
}
