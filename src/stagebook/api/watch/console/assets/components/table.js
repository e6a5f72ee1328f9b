// Tables. On a narrow page each row becomes a card; the roles keep it a table for screen readers. SPDX-License-Identifier: Apache-2.0

import { Component, html } from "../vendor/vendor.js";

// A group of rows that is rendered again only if its rows have changed: long lists grow group by group.
class Rows extends Component {
	shouldComponentUpdate(next) {
		return next.rows !== this.props.rows || next.columns !== this.props.columns;
	}

	render({ rows, columns, keyOf }) {
		return html`<tbody role="rowgroup">
			${rows.map(
				(row) => html`<tr key=${keyOf(row)} role="row">
					${columns.map(
						({ title, render, kind = "" }, index) =>
							index === 0
								? html`<th key=${title} scope="row" role="rowheader" class=${kind} data-label=${title}><span class="cell">${render(row)}</span></th>`
								: html`<td key=${title} role="cell" class=${kind} data-label=${title}><span class="cell">${render(row)}</span></td>`,
					)}
				</tr>`,
			)}
		</tbody>`;
	}
}

// `columns`: [{ title, render(row), kind }], kind "number", "actions" or "wide". `groups`: arrays of rows.
export function Table({ caption, columns, groups, keyOf }) {
	return html`<table role="table">
		<caption class="visually-hidden">${caption}</caption>
		<thead role="rowgroup">
			<tr role="row">
				${columns.map(({ title, kind = "" }) => html`<th key=${title} scope="col" role="columnheader" class=${kind}>${title}</th>`)}
			</tr>
		</thead>
		${groups.map((rows, index) => html`<${Rows} key=${index} rows=${rows} columns=${columns} keyOf=${keyOf} />`)}
	</table>`;
}
