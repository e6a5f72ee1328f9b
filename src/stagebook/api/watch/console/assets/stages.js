// The stages of the account with what is live on them. SPDX-License-Identifier: Apache-2.0

import { call, listAll } from "./api.js";
import { idOf } from "./router.js";

const AT_ONCE = 6;
let prefix = null;

export async function loadStages(signal) {
	const { items, hasMore } = await listAll("ListStages", {}, "stages", { limit: 1_000, signal });
	const stages = items.map(({ arn, name = "", activeSessionId }) => ({ arn, name, sessionId: activeSessionId, participants: 0, publishers: 0 }));
	const live = stages.filter((stage) => stage.sessionId);
	const count = async () => {
		for (let stage; (stage = live.pop()); ) {
			const present = await connectedParticipants(stage.arn, stage.sessionId, signal);
			stage.participants = present.items.length;
			stage.publishers = present.items.filter(({ published }) => published).length;
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, count));
	return { stages, hasMoreStages: hasMore };
}

export const connectedParticipants = (stageArn, sessionId, signal) =>
	listAll("ListParticipants", { stageArn, sessionId, filterByState: "CONNECTED" }, "participants", { limit: 1_000, signal });

// The ARN of a stage id. The account's region is not known before a first ARN has been seen.
export async function stageArn(id, identity) {
	if (id.startsWith("arn:")) return id;
	prefix ??= identity.region && `arn:aws:ivs:${identity.region}:${identity.accountId}:stage/`;
	if (!prefix) {
		const [first] = (await call("ListStages", { maxResults: 1 })).stages;
		if (!first) return id;
		prefix = first.arn.slice(0, -idOf(first.arn).length);
	}
	return prefix + id;
}
