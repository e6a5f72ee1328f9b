// A QR code, made in the browser: its text does not leave the page. SPDX-License-Identifier: Apache-2.0

import { generateQrCode, html, qrMode, useMemo } from "../vendor/vendor.js";

const QUIET_ZONE = 4; // modules, ISO/IEC 18004

export function QrCode({ text, label }) {
	const drawing = useMemo(() => {
		try {
			// One segment of bytes, which every reader understands.
			return drawingOf(generateQrCode(qrMode.bytes(new TextEncoder().encode(text))));
		} catch {
			return null;
		}
	}, [text]);
	if (!drawing) return html`<p class="problem">This text is too long for a QR code.</p>`;
	const { size, path } = drawing;
	return html`<svg class="qr" role="img" aria-label=${label} viewBox=${`${-QUIET_ZONE} ${-QUIET_ZONE} ${size + 2 * QUIET_ZONE} ${size + 2 * QUIET_ZONE}`} shape-rendering="crispEdges">
		<path d=${path} fill="#000" />
	</svg>`;
}

function drawingOf(code) {
	let path = "";
	for (let y = 0; y < code.size; y += 1) {
		for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) path += `M${x} ${y}h1v1h-1z`;
	}
	return { size: code.size, path };
}
