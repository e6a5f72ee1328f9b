// The state of a composition or of one of its destinations. SPDX-License-Identifier: Apache-2.0

import { COMPOSITION_STATES } from "../explanations.js";
import { html } from "../vendor/vendor.js";
import { Badge } from "./parts.js";

export function CompositionBadge({ state }) {
	const [text, tone, explanation] = COMPOSITION_STATES[state] ?? [state, "grey", ""];
	return html`<${Badge} tone=${tone} title=${explanation}>${text}<//>`;
}
