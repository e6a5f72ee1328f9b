// The stages of the account. SPDX-License-Identifier: Apache-2.0

import { get, listAll } from "./api.js";

const LIMIT = 1_000;

// The stages with what is live on them now and their errors of the last hour.
export async function loadStages(signal) {
	const page = await get("/stages", { limit: LIMIT }, signal);
	return { stages: page.stages, hasMoreStages: Boolean(page.nextCursor), since: page.errorsSinceTime };
}

export const connectedParticipants = (stageArn, sessionId, signal) =>
	listAll("ListParticipants", { stageArn, sessionId, filterByState: "CONNECTED" }, "participants", { limit: LIMIT, signal });

// The ARN of a stage id.
export const stageArn = (id, { region, accountId }) => (id.startsWith("arn:") ? id : `arn:aws:ivs:${region}:${accountId}:stage/${id}`);
