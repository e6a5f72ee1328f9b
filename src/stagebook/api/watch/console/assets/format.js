// How the console writes times, durations and sizes. SPDX-License-Identifier: Apache-2.0

const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const count = new Intl.NumberFormat();

const isSameDay = (a, b) => a.toDateString() === b.toDateString();

export const number = (value) => count.format(value);

// The local time with milliseconds, and the date unless it is today's.
export function time(iso, now = new Date()) {
	const moment = new Date(iso);
	if (Number.isNaN(moment.getTime())) return "";
	const text = `${clock.format(moment)}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
	return isSameDay(moment, now) ? text : `${date.format(moment)}, ${text}`;
}

// The local time without milliseconds.
export function shortTime(iso, now = new Date()) {
	const moment = new Date(iso);
	if (Number.isNaN(moment.getTime())) return "";
	return isSameDay(moment, now) ? clock.format(moment) : `${date.format(moment)}, ${clock.format(moment)}`;
}

export function duration(ms) {
	const seconds = Math.max(0, Math.round(ms / 1000));
	if (seconds < 60) return `${seconds} s`;
	const minutes = Math.floor(seconds / 60);
	if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
	const hours = Math.floor(minutes / 60);
	return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const between = (startIso, endIso) => duration((endIso ? new Date(endIso) : new Date()) - new Date(startIso));

export function bitrate(bitsPerSecond) {
	if (bitsPerSecond >= 1e9) return `${(bitsPerSecond / 1e9).toFixed(2)} Gbit/s`;
	if (bitsPerSecond >= 1e6) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
	if (bitsPerSecond >= 1e3) return `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
	return `${Math.round(bitsPerSecond)} bit/s`;
}

export const percent = (share) => `${(share * 100).toFixed(1)} %`;

export const plural = (amount, one, many = `${one}s`) => `${number(amount)} ${amount === 1 ? one : many}`;
