// The addresses of the console's pages. SPDX-License-Identifier: Apache-2.0
// An address is the fragment of the URL, `#/stages/...`, so that any of them can be opened and shared. It holds no secret.

const ROUTES = [
	["overview", /^\/$/],
	["stage", /^\/stages\/(?<stageId>[^/]+)(?:\/(?<tab>live|sessions|compositions|tokens|ingest))?$/],
	["join", /^\/stages\/(?<stageId>[^/]+)\/join$/],
	["participant", /^\/stages\/(?<stageId>[^/]+)\/sessions\/(?<sessionId>[^/]+)\/participants\/(?<participantId>[^/]+)$/],
	["session", /^\/sessions\/(?<sessionId>[^/]+)$/],
	["composition", /^\/compositions\/(?<compositionId>[^/]+)$/],
	["search", /^\/events$/],
	["webhooks", /^\/webhooks$/],
	["webhook", /^\/webhooks\/(?<webhookId>[^/]+)$/],
];

// The page of a fragment, its ids, and the parameters after its question mark.
export function parseRoute(fragment) {
	const [path, query = ""] = (fragment.replace(/^#/, "") || "/").split("?");
	const parameters = new URLSearchParams(query);
	for (const [page, pattern] of ROUTES) {
		const match = pattern.exec(path);
		if (!match) continue;
		const ids = {};
		for (const [name, value] of Object.entries(match.groups ?? {})) if (value) ids[name] = decode(value);
		const { tab, ...identity } = ids;
		return { page, ids, parameters, key: [page, ...Object.values(identity)].join(" ") };
	}
	return { page: "missing", ids: {}, parameters, key: `missing ${path}` };
}

function decode(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

const part = encodeURIComponent;

export const idOf = (arn) => arn.slice(arn.lastIndexOf("/") + 1);
export const overviewLink = () => "#/";
export const stageLink = (stage, tab) => `#/stages/${part(idOf(stage))}${tab ? `/${tab}` : ""}`;
export const joinLink = (stage) => `#/stages/${part(idOf(stage))}/join`;
export const sessionLink = (sessionId) => `#/sessions/${part(sessionId)}`;
export const compositionLink = (composition) => `#/compositions/${part(idOf(composition))}`;
export const participantLink = (stage, sessionId, participantId) =>
	`#/stages/${part(idOf(stage))}/sessions/${part(sessionId)}/participants/${part(participantId)}`;

export const webhooksLink = () => "#/webhooks";
export const webhookLink = (webhookId) => `#/webhooks/${part(webhookId)}`;

export function searchLink(filters = {}) {
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(filters)) {
		for (const each of Array.isArray(value) ? value : [value]) if (each) query.append(name, each);
	}
	const text = query.toString();
	return `#/events${text && `?${text}`}`;
}
