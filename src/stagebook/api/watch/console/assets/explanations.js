// What events, error codes and causes mean, in words. SPDX-License-Identifier: Apache-2.0
// docs/compatibility.md has the complete rules; a test holds that each name of the book is in these tables.

// The explanation, and the colour.
export const EVENT_NAMES = {
	JOINED: ["joined the stage: its first connection was opened", "green"],
	LEFT: ["left the stage: its last connection ended", "grey"],
	PUBLISH_STARTED: ["its media is connected and can be watched", "blue"],
	PUBLISH_STOPPED: ["its publication ended", "grey"],
	SUBSCRIBE_STARTED: ["receives the media of another participant", "teal"],
	SUBSCRIBE_STOPPED: ["no longer receives the media of another participant", "grey"],
	PUBLISH_ERROR: ["an attempt to publish was refused, or the server ended the publication", "red"],
	SUBSCRIBE_ERROR: ["an attempt to watch was refused, or the server ended the subscription", "red"],
	JOIN_ERROR: ["was not admitted to the stage", "red"],
	REPLICATION_STARTED: ["is shown on another stage as well", "purple"],
	REPLICATION_STOPPED: ["is no longer shown on the other stage", "grey"],
	TOKEN_EXCHANGED: ["replaced its token by another one", "amber"],
};

// What it means, and what to do.
export const ERROR_CODES = {
	INSUFFICIENT_CAPABILITIES: [
		"The token does not allow this.",
		"Create a token with the capability PUBLISH or SUBSCRIBE.",
	],
	QUOTA_EXCEEDED: [
		"The stage, the participant or the account has reached a quota of publishers, viewers or connections.",
		"Disconnect participants that are not needed, or raise the quota in [quota_overrides].",
	],
	PUBLISHER_NOT_FOUND: [
		"No participant with that id publishes on this stage.",
		"Watch again after the participant's PUBLISH_STARTED.",
	],
	BITRATE_EXCEEDED: ["The video's bitrate stayed above the quota.", "Lower the bitrate of the camera or encoder."],
	RESOLUTION_EXCEEDED: ["The picture is larger than the quota allows.", "Lower the resolution of the camera or encoder."],
	STREAM_DURATION_EXCEEDED: ["The publication or subscription lasted longer than the quota allows.", "Connect again."],
	INVALID_AUDIO_CODEC: [
		"The audio has a codec that the stage does not accept.",
		"Send Opus over WebRTC, or AAC-LC over RTMP.",
	],
	INVALID_VIDEO_CODEC: [
		"The video has a codec that the stage or the viewer does not accept.",
		"Send H.264, or VP8 where video_codecs allows it.",
	],
	INVALID_PROTOCOL: [
		"The encoder used RTMP, but the ingest key requires RTMPS.",
		"Use the rtmps:// address, or a key that allows insecure ingest.",
	],
	INVALID_STREAM_KEY: ["The stream key is wrong.", "Copy the stream key of the ingest configuration again."],
	REUSE_OF_STREAM_KEY: [
		"Another encoder publishes with this stream key already.",
		"Stop that encoder, or use a key of its own for each one.",
	],
	B_FRAME_PRESENT: ["The video has B-frames, which WebRTC cannot carry.", "Switch B-frames off (0) in the encoder."],
	INVALID_INPUT: ["The stream has no audio or no video, or cannot be parsed.", "Check the encoder's output."],
	INTERNAL_SERVER_EXCEPTION: ["A media process failed or was full.", "Try again. The log of the server has the reason."],
};

export const CAUSES = {
	client: "the participant asked for it, or its encoder closed the connection",
	peer_lost: "the connection was lost: nothing arrived from the participant any more",
	never_connected: "media did not connect after the server's answer: check UDP, firewalls and media_announce",
	publisher_stopped: "the watched publisher stopped, or a replicated publisher did not return in time",
	disconnected_by_api: "DisconnectParticipant was called",
	stage_deleted: "the stage was deleted",
	limit: "a quota, or a rule for all streams",
	refused: "an attempt that is not allowed",
	engine_lost: "a media process ended",
	shutdown: "the server was shut down",
	crash_recovery: "the server had ended without a shutdown; its next start recorded this",
	replication_api: "StartParticipantReplication or StopParticipantReplication was called",
	token_exchanged: "the participant's new token does not allow it",
	connection_token_revoked: "RevokeConnectionToken was called",
};

export const eventText = (name) => EVENT_NAMES[name]?.[0] ?? "";
export const toneOf = (name) => EVENT_NAMES[name]?.[1] ?? "grey";

// The explanation of an error code in one sentence or two; "" for an unknown one.
export const errorCodeText = (code) => ERROR_CODES[code]?.join(" ") ?? "";
