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
	RECORDING_STARTED: ["is being recorded", "pink"],
	RECORDING_ENDED: ["its recording is complete, and all of it is stored", "grey"],
	RECORDING_START_FAILED: ["could not be recorded", "red"],
	RECORDING_END_FAILED: ["its recording ended with a failure, and may be incomplete", "red"],
};

// Those of compositions: what happened to the composition or to the destination.
export const COMPOSITION_EVENTS = {
	COMPOSITION_STARTED: ["the publishers of the stage are being composed", "teal"],
	COMPOSITION_ENDED: ["the composition ended, and all of it is written", "grey"],
	COMPOSITION_FAILED: ["the composition ended with a failure", "red"],
	COMPOSITION_DESTINATION_STARTED: ["the destination is being written to", "teal"],
	COMPOSITION_DESTINATION_ENDED: ["the destination is complete", "grey"],
	COMPOSITION_DESTINATION_RECONNECTING: ["the connection to the channel was lost, and is being made again", "amber"],
	COMPOSITION_DESTINATION_FAILED: ["the destination was given up", "red"],
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

// The error codes of recordings: what it means, and what to do.
export const RECORDING_ERRORS = {
	ResourceNotFoundException: ["S3 bucket not found.", "Create the bucket that the storage configuration names."],
	AccessDeniedException: ["Access denied to S3 bucket.", "Let the server's credentials write to the bucket."],
	ValidationException: ["Video codec not supported for recording.", "Publish H.264, or record AUDIO_ONLY."],
	InternalServerException: ["The recorder or the store failed.", "The log of the server has the reason; stagebook doctor checks the store."],
};

// Those of compositions, beside what they share with recordings.
export const COMPOSITION_ERRORS = {
	StageDeleted: ["The stage was deleted.", "Compose another stage."],
	DestinationFailure: ["One or more destinations failed.", "The events of the destinations have the reasons."],
	ConflictException: ["The channel has another stream already.", "Stop the other stream, or write to another channel."],
};

// The state of a composition or of a destination: the text of its badge, its tone, and the explanation.
export const COMPOSITION_STATES = {
	STARTING: ["starting", "blue", "Nothing is written yet"],
	ACTIVE: ["active", "teal", "It is being written"],
	STOPPING: ["stopping", "amber", "The last parts are being written"],
	RECONNECTING: ["reconnecting", "amber", "The connection to the channel was lost"],
	STOPPED: ["stopped", "grey", "It is complete"],
	FAILED: ["failed", "red", "The events have the reason"],
};

// A participant's recordingState: the text of its badge, its tone, and the explanation. DISABLED has none.
export const RECORDING_STATES = {
	STARTING: ["recording starts", "pink", "Nothing is stored yet"],
	ACTIVE: ["recording", "pink", "The participant is being recorded"],
	STOPPING: ["recording ends", "amber", "The last parts are being stored, or the participant may return within the reconnect window"],
	STOPPED: ["recorded", "grey", "The recording is complete"],
	FAILED: ["recording failed", "red", "The events have the reason"],
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

// Those of compositions, beside what they share with participants.
export const COMPOSITION_CAUSES = {
	stopped_by_api: "StopComposition was called",
	no_publisher: "nobody published on the stage for a while",
	duration: "the composition lasted as long as one may",
	output: "a destination did not take what was written",
	timeout: "the composition did not start or end in time",
};

// The names, error codes and causes of both kinds, for forms that choose events.
export const PARTICIPANT_EVENT_NAMES = Object.keys(EVENT_NAMES);
export const COMPOSITION_EVENT_NAMES = Object.keys(COMPOSITION_EVENTS);
export const COMPOSITION_ERROR_CODES = [
	...Object.keys(COMPOSITION_ERRORS),
	...["ResourceNotFoundException", "AccessDeniedException", "InternalServerException"],
];
export const ALL_CAUSES = [...Object.keys(CAUSES), ...Object.keys(COMPOSITION_CAUSES)];

const explanationOf = (name) => EVENT_NAMES[name] ?? COMPOSITION_EVENTS[name] ?? ["", "grey"];
export const eventText = (name) => explanationOf(name)[0];
export const toneOf = (name) => explanationOf(name)[1];
// What an error code of any event means, and what to do; what a cause means.
export const errorMeaning = (code) => ERROR_CODES[code] ?? RECORDING_ERRORS[code] ?? COMPOSITION_ERRORS[code];
export const causeText = (cause) => CAUSES[cause] ?? COMPOSITION_CAUSES[cause] ?? "";

// The explanation of an error code in one sentence or two; "" for an unknown one.
export const errorCodeText = (code) => errorMeaning(code)?.join(" ") ?? "";
