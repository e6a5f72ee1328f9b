// The requests of the console to the server. SPDX-License-Identifier: Apache-2.0
// The browser sends the cookie of the sign-in by itself. A request that changes something has the header field
// X-Stagebook-Console, which a page of another origin cannot send.

const PREFIX = "/watch/v1";
const signedOutListeners = new Set();

export class WatchError extends Error {
	constructor({ status = 0, code = "NETWORK", detail = "", retryAfterSeconds = NaN }) {
		super(detail || code);
		Object.assign(this, { name: "WatchError", status, code, detail, retryAfterSeconds });
	}
}

// Calls the listener when a request was refused because nobody is signed in. Returns a function that ends that.
export function onSignedOut(listener) {
	signedOutListeners.add(listener);
	return () => signedOutListeners.delete(listener);
}

export function queryOf(parameters = {}) {
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters)) {
		for (const each of Array.isArray(value) ? value : [value]) {
			if (each !== undefined && each !== null && each !== "") query.append(name, each);
		}
	}
	const text = query.toString();
	return text && `?${text}`;
}

async function send(path, { isQuiet = false, ...init } = {}) {
	let response;
	try {
		response = await fetch(PREFIX + path, { credentials: "same-origin", cache: "no-store", ...init });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new WatchError({ detail: `${error.message}` });
	}
	const body = await response.json().catch(() => null);
	if (response.ok) return body;
	if (response.status === 401 && !isQuiet) for (const listener of signedOutListeners) listener();
	throw new WatchError({
		status: response.status,
		code: body?.code ?? response.headers.get("x-amzn-ErrorType")?.split(":")[0] ?? `HTTP_${response.status}`,
		detail: body?.detail ?? body?.message ?? "",
		retryAfterSeconds: Number(response.headers.get("Retry-After") ?? NaN),
	});
}

const change = (path, body, options = {}) =>
	send(path, {
		method: "POST",
		headers: { "Content-Type": "application/json", "X-Stagebook-Console": "1" },
		body: JSON.stringify(body),
		...options,
	});

// How long to wait before a request is repeated that the server was too busy for; NaN if it must not be repeated.
export const busyMs = ({ status, retryAfterSeconds }) => (status === 503 ? 1_000 * (retryAfterSeconds || 1) : NaN);

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const get = (path, parameters, signal) => send(path + queryOf(parameters), { signal });
export const post = (path, body) => change(path, body);
export const remove = (path) => change(path, undefined, { method: "DELETE" });

// One of the 40 operations of the AWS API, with AWS's input and output.
export const call = (operation, input, signal) => change(`/operations/${operation}`, input, { signal });

// All items of a list operation, up to `limit`, and whether there are more.
export async function listAll(operation, input, member, { limit = 500, signal } = {}) {
	const items = [];
	let nextToken;
	do {
		const page = await call(operation, { maxResults: 100, ...input, ...(nextToken && { nextToken }) }, signal);
		items.push(...page[member]);
		nextToken = page.nextToken;
	} while (nextToken && items.length < limit);
	return { items, hasMore: Boolean(nextToken) };
}

export const signIn = (key) => change("/sign-in", { key }, { isQuiet: true });
export const signOut = () => change("/sign-out", {}, { isQuiet: true });
export const me = () => send("/me", { isQuiet: true });

const TEXTS = {
	NETWORK: "The server does not answer. Check that it runs and that this device can reach it, then try again.",
	UNAUTHENTICATED: "You are not signed in, or the session has expired. Sign in again.",
	FORBIDDEN: "Your key may not do this. Sign in with a key that has the role operator.",
	NOT_FOUND: "It does not exist, or belongs to another account.",
	TIMEOUT: "The server did not receive the request in time. Try again.",
	TOO_MANY_REQUESTS: "Too many requests. Wait a moment, then try again.",
	QUOTA_EXCEEDED: "A quota of the account is reached. Delete what you no longer need, or raise the quota.",
	BUSY: "The server is busy. Try again in a moment.",
	INTERNAL: "The server failed. Its log has the reason.",
	AccessDeniedException: "Your key may not do this. Sign in with a key that has the role operator.",
	ResourceNotFoundException: "It does not exist any more, or belongs to another account.",
	ServiceQuotaExceededException: "A quota of the account is reached. Delete what you no longer need, or raise the quota.",
	ThrottlingException: "Too many requests. Wait a moment, then try again.",
	PendingVerification: "The account is not verified.",
	ConflictException: "This does not fit the present state.",
};

// What went wrong and what to do about it, in words.
export function errorText(error) {
	if (!(error instanceof WatchError)) return `${error.message ?? error}`;
	const text = TEXTS[error.code];
	if (!text) return error.detail || `The server answered with the status ${error.status}.`;
	const isExplained = error.code === "NETWORK" || error.code === "UNAUTHENTICATED" || !error.detail;
	return isExplained ? text : `${text} (${error.detail})`;
}
