// What the console uses of third-party modules. `make console-vendor` bundles it into assets/vendor/vendor.js.
import htm from "htm";
import { h } from "preact";

export { Component, render } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { generate as generateQrCode, mode as qrMode } from "lean-qr";
export const html = htm.bind(h);
