// Signing in with a key. SPDX-License-Identifier: Apache-2.0

import { errorText, signIn } from "../api.js";
import { Field } from "../components/parts.js";
import { html, useEffect, useRef, useState } from "../vendor/vendor.js";

export function SignInPage({ hasExpired, onSignedIn }) {
	const field = useRef(null);
	const [isBusy, setBusy] = useState(false);
	const [error, setError] = useState(null);
	useEffect(() => {
		document.title = "Sign in – Stagebook";
		field.current.focus();
	}, []);
	const submit = async (event) => {
		event.preventDefault();
		setBusy(true);
		setError(null);
		try {
			await signIn(field.current.value.trim());
			field.current.value = "";
			onSignedIn();
		} catch (failure) {
			setError(failure.status === 401 ? "This key is unknown, revoked or expired." : errorText(failure));
			setBusy(false);
			field.current.select();
		}
	};
	return html`<section class="card sign-in">
		<h1 tabindex="-1">Sign in</h1>
		<div role="alert">
			${hasExpired && !error && html`<p class="notice">The session has ended. Sign in again.</p>`}
			${error && html`<p class="problem">${error}</p>`}
		</div>
		<form onSubmit=${submit}>
			<${Field} label="Key" hint="The key stays in this field: it is sent to this server only, and not stored in the browser.">
				<input ref=${field} type="password" name="key" autocomplete="current-password" required spellcheck=${false} />
			<//>
			<button type="submit" class="primary" disabled=${isBusy}>${isBusy ? "Signing in …" : "Sign in"}</button>
		</form>
		<p class="hint">Make a key on the machine of the server:</p>
		<pre><code>stagebook keys create --role operator</code></pre>
		<p class="hint">With the role reader a key can look at everything and change nothing.</p>
	</section>`;
}
