// The ingest configurations of a stage: stream keys for encoders. SPDX-License-Identifier: Apache-2.0

import { call, listAll } from "../../api.js";
import { FormDialog } from "../../components/dialog.js";
import { Badge, Check, CopyButton, Empty, Field, Loaded, Problem } from "../../components/parts.js";
import { Table } from "../../components/table.js";
import { toast } from "../../components/toasts.js";
import { useData } from "../../data.js";
import { idOf } from "../../router.js";
import { html, useEffect, useRef, useState } from "../../vendor/vendor.js";

const nameOf = ({ name, arn }) => name || idOf(arn);

export function IngestKeys({ stage, changes, isOperator }) {
	const load = async (signal) =>
		(await listAll("ListIngestConfigurations", { filterByStageArn: stage.arn }, "ingestConfigurations", { signal })).items;
	const state = useData(load, [stage.arn]);
	const [dialog, setDialog] = useState(null);
	const seen = useRef(changes);
	useEffect(() => {
		if (seen.current !== changes) state.reload();
		seen.current = changes;
	}, [changes]);
	const close = () => setDialog(null);
	return html`
		<section class="card flush" aria-labelledby="ingest-heading">
			<header>
				<h2 id="ingest-heading">Ingest keys</h2>
				${isOperator && html`<div class="actions"><button type="button" onClick=${() => setDialog({ kind: "create" })}>Create an ingest key</button></div>`}
			</header>
			<${Loaded} state=${state} what="Loading the ingest keys">
				${(items) => html`<${Configurations} items=${items} stage=${stage} isOperator=${isOperator} onDelete=${(configuration) => setDialog({ kind: "delete", configuration })} />`}
			<//>
		</section>
		<${Addresses} endpoints=${stage.endpoints ?? {}} />
		${dialog?.kind === "create" && html`<${CreateDialog} stage=${stage} onCreated=${state.reload} onClose=${close} />`}
		${dialog?.kind === "delete" && html`<${DeleteDialog} configuration=${dialog.configuration} onDeleted=${state.reload} onClose=${close} />`}
	`;
}

function Configurations({ items, stage, isOperator, onDelete }) {
	if (!items.length) return html`<${Empty} title="There is no ingest key">With an ingest key, OBS, ffmpeg and other encoders publish to this stage over RTMPS or RTMP.<//>`;
	const columns = [
		{ title: "Name", render: (each) => html`${nameOf(each)}${each.userId && html` <span class="muted">user ${each.userId}</span>`}` },
		{ title: "Participant id", render: ({ participantId }) => html`<code>${participantId}</code>` },
		{ title: "State", render: ({ state }) => html`<${Badge} tone=${state === "ACTIVE" ? "green" : "grey"}>${state === "ACTIVE" ? "active" : "inactive"}<//>` },
		{ title: "Protocol", render: ({ ingestProtocol }) => ingestProtocol },
	];
	if (isOperator) {
		columns.push({ title: "Stream key", kind: "wide", render: (each) => html`<${StreamKey} configuration=${each} stage=${stage} />` });
		columns.push({
			title: "Actions",
			kind: "actions",
			render: (each) => html`<button type="button" class="dangerous" aria-label=${`Delete the ingest key ${nameOf(each)}`} onClick=${() => onDelete(each)}>Delete</button>`,
		});
	}
	return html`<${Table} caption="Ingest keys of the stage" columns=${columns} groups=${[items]} keyOf=${({ arn }) => arn} />`;
}

// Loaded and shown when asked for only: somebody may look over the shoulder.
function StreamKey({ configuration, stage }) {
	const [keys, setKeys] = useState(null);
	const [error, setError] = useState(null);
	const show = async () => {
		setError(null);
		try {
			const { ingestConfiguration: found } = await call("GetIngestConfiguration", { arn: configuration.arn });
			const redundant = found.redundantIngestCredentials ?? [];
			setKeys(found.redundantIngest && redundant.length ? redundant.map(({ streamKey }) => streamKey) : [found.streamKey]);
		} catch (failure) {
			setError(failure);
		}
	};
	if (error) return html`<${Problem} error=${error} onRetry=${show} />`;
	if (!keys) return html`<button type="button" aria-label=${`Show the stream key of ${nameOf(configuration)}`} onClick=${show}>Show</button>`;
	const base = configuration.ingestProtocol === "RTMP" ? stage.endpoints?.rtmp : stage.endpoints?.rtmps;
	return html`<div class="stack" role="status">
		${keys.map(
			(key) => html`<div key=${key} class="stack">
				<code>${key}</code>
				<span class="actions">
					<${CopyButton} text=${key} what="stream key" label="Copy the key" />
					${base && html`<${CopyButton} text=${addressOf(base, key)} what=${`${configuration.ingestProtocol} address`} label="Copy the address" />`}
				</span>
			</div>`,
		)}
		<span><button type="button" class="quiet" onClick=${() => setKeys(null)}>Hide</button></span>
	</div>`;
}

const addressOf = (base, key) => `${base.replace(/\/$/, "")}/${key}`;

function Addresses({ endpoints }) {
	const servers = [["RTMPS", endpoints.rtmps], ["RTMP", endpoints.rtmp]].filter(([, address]) => address);
	if (!servers.length) return html`<p class="muted">RTMP and RTMPS are switched off on this server.</p>`;
	return html`<section class="card" aria-labelledby="addresses-heading">
		<header><h2 id="addresses-heading">Server for encoders</h2></header>
		<p class="muted">In OBS: service Custom, one of these servers, the stream key, and no B-frames.</p>
		${servers.map(
			([protocol, address]) => html`<p key=${protocol}>${protocol} <code>${address}</code> <${CopyButton} text=${address} what=${`${protocol} server`} /></p>`,
		)}
	</section>`;
}

function CreateDialog({ stage, onCreated, onClose }) {
	const create = async (form) => {
		const allowsRtmp = form.get("protocol") === "RTMP";
		await call("CreateIngestConfiguration", {
			stageArn: stage.arn,
			ingestProtocol: allowsRtmp ? "RTMP" : "RTMPS",
			insecureIngest: allowsRtmp,
			redundantIngest: form.has("redundant"),
			...(form.get("name") && { name: form.get("name") }),
			...(form.get("userId") && { userId: form.get("userId") }),
		});
		toast("The ingest key was created");
		onCreated();
	};
	return html`<${FormDialog} title="Create an ingest key" submitLabel="Create" onSubmit=${create} onClose=${onClose}>
		<${Field} label="Name" hint="Letters, digits, - and _. It may be empty."><input name="name" maxlength="128" pattern="[a-zA-Z0-9_\\-]*" autocomplete="off" /><//>
		<${Field} label="User id" hint="Viewers see it as the user id of the encoder."><input name="userId" maxlength="128" autocomplete="off" /><//>
		<${Field} label="Protocol" hint="RTMP sends the key and the video unencrypted.">
			<select name="protocol"><option value="RTMPS">RTMPS only</option><option value="RTMP">RTMP as well</option></select>
		<//>
		<${Check} name="redundant" label="Redundant ingest: two encoders publish the same content, with a key each" />
	<//>`;
}

function DeleteDialog({ configuration, onDeleted, onClose }) {
	const remove = async () => {
		await call("DeleteIngestConfiguration", { arn: configuration.arn, force: true });
		toast("The ingest key was deleted");
		onDeleted();
	};
	return html`<${FormDialog} title="Delete the ingest key?" submitLabel="Delete" isDangerous onSubmit=${remove} onClose=${onClose}>
		<p>The stream key of <strong>${nameOf(configuration)}</strong> no longer works. An encoder that publishes with it is disconnected.</p>
	<//>`;
}
