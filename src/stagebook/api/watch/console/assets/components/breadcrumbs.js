// The way to a page. SPDX-License-Identifier: Apache-2.0

import { html } from "../vendor/vendor.js";
import { Icon } from "./parts.js";

// `links`: [label, link] of each page above this one.
export const Breadcrumbs = ({ links }) =>
	html`<nav class="breadcrumbs" aria-label="Breadcrumb">
		<ol>
			${links.map(
				([label, link], index) =>
					html`<li key=${link}>${index > 0 && html`<${Icon} name="chevron" />`}<a href=${link}>${label}</a></li>`,
			)}
		</ol>
	</nav>`;
