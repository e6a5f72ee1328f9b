// Creating participant tokens. A token is a secret: it is shown here only, and never part of an address. SPDX-License-Identifier: Apache-2.0

import { call } from "../../api.js";
import { Attributes, attributesOf } from "../../components/attributes.js";
import { Check, CopyButton, Definitions, Empty, Field, Problem, Time } from "../../components/parts.js";
import { QrCode } from "../../components/qr_code.js";
import { toast } from "../../components/toasts.js";
import { html, useRef, useState } from "../../vendor/vendor.js";

const DEFAULT_MINUTES = 720;
const MAXIMUM_MINUTES = 20_160;

export function StageTokens({ stage, isOperator }) {
	const [tokens, setTokens] = useState([]);
	if (!isOperator) return html`<${Empty} title="Tokens are made by operators">Sign in with a key that has the role operator.<//>`;
	return html`<div class="columns even">
		<${TokenForm} stage=${stage} onCreated=${(token) => setTokens((former) => [token, ...former])} />
		<div>
			${!tokens.length && html`<section class="card"><${Empty} title="No token created yet">The server does not keep the tokens that it creates. Those that you create here are shown until you leave this page.<//></section>`}
			${tokens.map((token) => html`<${CreatedToken} key=${token.participantId} token=${token} />`)}
		</div>
	</div>`;
}

function TokenForm({ stage, onCreated }) {
	const [error, setError] = useState(null);
	const [isBusy, setBusy] = useState(false);
	const attributes = useRef([]);
	const submit = async (event) => {
		event.preventDefault();
		const form = new FormData(event.target);
		setBusy(true);
		setError(null);
		try {
			const { participantToken } = await call("CreateParticipantToken", {
				stageArn: stage.arn,
				duration: Number(form.get("duration")),
				capabilities: form.getAll("capability"),
				...(form.get("userId") && { userId: form.get("userId") }),
				attributes: attributesOf(attributes.current),
			});
			onCreated(participantToken);
			toast("The token was created");
		} catch (failure) {
			setError(failure);
		}
		setBusy(false);
	};
	return html`<section class="card" aria-labelledby="token-heading">
		<header><h2 id="token-heading">Create a token</h2></header>
		<form onSubmit=${submit}>
			<${Field} label="User id" hint="What your application calls the participant. It may be empty.">
				<input name="userId" maxlength="128" autocomplete="off" />
			<//>
			<fieldset>
				<legend>Capabilities</legend>
				<div class="choices">
					<${Check} name="capability" value="PUBLISH" label="Publish" defaultChecked />
					<${Check} name="capability" value="SUBSCRIBE" label="Watch" defaultChecked />
				</div>
			</fieldset>
			<${Field} label="Valid for, in minutes" hint="720 minutes are 12 hours. At most 20,160 (14 days).">
				<input name="duration" type="number" min="1" max=${MAXIMUM_MINUTES} defaultValue=${DEFAULT_MINUTES} required />
			<//>
			<${Attributes} onChange=${(entries) => (attributes.current = entries)} />
			${error && html`<${Problem} error=${error} />`}
			<button type="submit" class="primary" disabled=${isBusy}>Create the token</button>
		</form>
	</section>`;
}

function CreatedToken({ token }) {
	const [hasQrCode, setQrCode] = useState(false);
	const { participantId, userId, capabilities = [], expirationTime } = token;
	const heading = `token-${participantId}`;
	return html`<section class="card" aria-labelledby=${heading}>
		<header>
			<h2 id=${heading}>${userId ? `Token of ${userId}` : `Token of ${participantId}`}</h2>
			<div class="actions">
				<${CopyButton} text=${token.token} what="token" label="Copy" />
				<button type="button" aria-pressed=${hasQrCode} onClick=${() => setQrCode(!hasQrCode)}>QR code</button>
			</div>
		</header>
		<${Definitions} entries=${[
			["Participant id", html`<code>${participantId}</code>`],
			["Capabilities", capabilities.join(" and ") || "none"],
			["Expires", html`<${Time} iso=${expirationTime} isShort />`],
		]} />
		<p></p>
		<${Field} label="Token"><textarea readonly rows="4" value=${token.token}></textarea><//>
		${hasQrCode && html`<${QrCode} text=${token.token} label=${`QR code of the token of ${userId || participantId}`} />`}
	</section>`;
}
