// Reading events of the book. SPDX-License-Identifier: Apache-2.0

import { get } from "./api.js";

const PAGE_LENGTH = 1_000;

// The events that match the filters of the search, at most `limit`, and whether there are more. A page of the search may
// be short and still have a next one, because the work for a page is bounded.
export async function searchEvents(filters, { limit, signal }) {
	const events = [];
	let cursor;
	do {
		const page = await get("/events", { ...filters, limit: Math.min(PAGE_LENGTH, limit - events.length), cursor }, signal);
		events.push(...page.events);
		cursor = page.nextCursor;
	} while (cursor && events.length < limit);
	return { events, hasMore: Boolean(cursor) };
}
