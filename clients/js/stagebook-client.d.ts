// Type declarations of stagebook-client.js. SPDX-License-Identifier: Apache-2.0

/**
 * Codes of StageError that this module makes itself. All others are the server's (docs/participants.md).
 *
 * - `INVALID_STATE`: the call does not fit the state, for instance a second `join`.
 * - `TOKEN_MALFORMED`: this is not a participant token.
 * - `NETWORK`: no answer to an HTTP request.
 * - `CONNECTION_FAILED`: no media path to the server, or no events websocket.
 * - `CONNECTION_LOST`: the events websocket was lost before the answer to a token exchange. It may have taken effect.
 * - `MEDIA`: the browser refused an operation; `message` has its error.
 * - `REPLACED`: another page publishes with the same token and has taken over.
 * - `NO_LAYERS`: there is no such subscription, or the server offers no choice of layers for it.
 * - `CLOSED`: `leave`, `unpublish` or `unsubscribe` was called.
 */
export type ClientErrorCode =
	| "INVALID_STATE"
	| "TOKEN_MALFORMED"
	| "NETWORK"
	| "CONNECTION_FAILED"
	| "CONNECTION_LOST"
	| "MEDIA"
	| "REPLACED"
	| "NO_LAYERS"
	| "CLOSED";

export class StageError extends Error {
	readonly code: ClientErrorCode | (string & {});
	/** The HTTP status, if the server answered a request with the error. */
	readonly status?: number;
	/** What the server asked for; 0 or NaN if it did not. */
	readonly retryAfterSeconds?: number;
	constructor(code: string, message?: string, status?: number, retryAfterSeconds?: number);
}

/** One participant at one time. A change is a new object. */
export interface Participant {
	readonly id: string;
	readonly userId: string;
	readonly attributes: Readonly<Record<string, string>>;
	readonly isPublishing: boolean;
	/** What the participant's client says. It says so for a kind that it does not publish as well. */
	readonly audioMuted: boolean;
	readonly videoStopped: boolean;
}

export type Kind = "audio" | "video";

/** `closed` is final. `reconnecting` lasts until the server can be reached again. */
export type StageState = "new" | "connecting" | "connected" | "reconnecting" | "closed";

/** As StageState; `waiting`: the publisher has stopped, and the subscription goes on when it publishes again. */
export type MediaState = "new" | "connecting" | "connected" | "reconnecting" | "waiting" | "closed";

export interface ParticipantEvent extends Event {
	readonly participant: Participant;
}

export interface StageEventMap {
	/** Participants that are on the stage already when `join` is called have joined with this event as well. */
	participantjoined: ParticipantEvent;
	participantleft: ParticipantEvent;
	publishstarted: ParticipantEvent;
	publishstopped: ParticipantEvent;
	/** `audioMuted` or `videoStopped` has changed. */
	mutechanged: ParticipantEvent;
	/** `userId` or `attributes` has changed, by a token exchange. */
	metadatachanged: ParticipantEvent;
	statechange: Event & { readonly state: StageState };
	/** `error` is set if the state is `closed` and the caller did not close it. */
	publicationchange: Event & { readonly state: MediaState; readonly error: StageError | null };
	subscriptionchange: Event & {
		readonly participantId: string;
		readonly stream: MediaStream;
		readonly state: MediaState;
		readonly error: StageError | null;
	};
	/** The token expires in a minute, or has expired. Connections stay; new ones are refused. Get a new token. */
	tokenexpiring: Event & { readonly expiresAt: Date };
	/**
	 * The participant was disconnected for good. `code` is PARTICIPANT_DISCONNECTED, STAGE_DELETED,
	 * CONNECTION_TOKEN_REVOKED, or the code of a refusal. `reason` is the text of DisconnectParticipant, if it had one.
	 */
	disconnected: Event & { readonly code: string; readonly reason: string };
	/** A publication or subscription that was connected has ended with an error. */
	error: Event & { readonly error: StageError };
}

export interface StageOptions {
	/**
	 * For RTCPeerConnection, for instance `{ iceTransportPolicy: "relay" }`. `iceServers` replace the STUN and TURN servers
	 * that the server names.
	 */
	rtcConfiguration?: RTCConfiguration;
}

export interface PublishOptions {
	/** Send up to three layers, depending on the size of the video: `hi`, `mid` and `low`. Default: false. */
	simulcast?: boolean;
	/** Of the video or its best layer, bit/s. Default: 2,500,000. */
	maxBitrate?: number;
	/** bit/s. Default: the browser's. */
	audioBitrate?: number;
}

export interface SubscribeOptions {
	/** Default: true. */
	audio?: boolean;
	/** Default: true. */
	video?: boolean;
}

/** A simulcast layer of a publisher. The bitrate is in kbit/s. */
export interface Layer {
	readonly encodingId: string;
	readonly bitrate: number;
	readonly width: number;
	readonly height: number;
	readonly framesPerSecond: number;
	readonly selected: boolean;
}

/** One RTP stream. A member is undefined if the browser does not know it. */
export interface TrackStats {
	readonly kind: Kind;
	/** The simulcast layer of a publication. */
	readonly rid?: string;
	readonly codec?: string;
	/** bit/s since the previous call; 0 in the first one. */
	readonly bitrate: number;
	/** Lost packets since the previous call, 0 to 1. */
	readonly lossShare: number;
	readonly packetsLost: number;
	readonly jitterSeconds?: number;
	readonly rttSeconds?: number;
	/** Video frames sent or decoded. */
	readonly frames?: number;
	readonly framesPerSecond?: number;
	readonly width?: number;
	readonly height?: number;
}

export interface StageStats {
	readonly publication: TrackStats[] | null;
	/** By participant id. */
	readonly subscriptions: Map<string, TrackStats[]>;
}

/**
 * A participant's view of a stage, and its media. All promises are rejected with a StageError. It is an EventTarget; the
 * declaration does not say so, because EventTarget accepts any name of an event.
 */
export class Stage {
	/** Sends nothing yet. Throws TOKEN_MALFORMED. */
	constructor(token: string, options?: StageOptions);

	readonly state: StageState;
	readonly participantId: string;
	readonly capabilities: { readonly publish: boolean; readonly subscribe: boolean };
	readonly expiresAt: Date;
	/** The own entry of the list; null before the first list. */
	readonly self: Participant | null;
	/** The other participants, by id. */
	readonly participants: ReadonlyMap<string, Participant>;
	/** null unless `publish` was called and the publication has not ended. */
	readonly publication: { readonly state: MediaState } | null;
	/** By participant id. */
	readonly subscriptions: ReadonlyMap<string, { readonly state: MediaState; readonly stream: MediaStream }>;
	readonly muted: { readonly audio: boolean; readonly video: boolean };

	/**
	 * Resolves when the list has arrived and its events were dispatched. Rejected with the reason of a refusal, or with
	 * CONNECTION_FAILED after six attempts in about ten seconds.
	 */
	join(): Promise<void>;

	/** Ends all connections. Resolves when the server has answered. It is called when the page is hidden for good. */
	leave(): Promise<void>;

	/** Resolves when the media is connected. Both kinds are negotiated, so `replaceTrack` can add the other one. */
	publish(source: MediaStream | readonly MediaStreamTrack[], options?: PublishOptions): Promise<void>;
	unpublish(): Promise<void>;

	/** Sends another track of this kind, or none, without a new negotiation. */
	replaceTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void>;

	/** Sets `enabled` of the published tracks, now and of later ones, and tells the others. */
	setMuted(muted: { audio?: boolean; video?: boolean }): void;

	/**
	 * Resolves when the media is connected, with a stream that stays the same across reconnects. A track appears in it
	 * with its first packet. A second call returns the same stream.
	 */
	subscribe(participantId: string, options?: SubscribeOptions): Promise<MediaStream>;
	unsubscribe(participantId: string): Promise<void>;

	/** The simulcast layers of a publisher that is subscribed to. */
	layers(participantId: string): Promise<Layer[]>;
	/**
	 * Chooses a layer; null leaves the choice to the server. With "atMost" the server chooses up to this layer. Without a
	 * layer, "audioOnly" stops the video and "paused" all. It is chosen again after a reconnect.
	 */
	selectLayer(participantId: string, encodingId: string, mode?: "exactly" | "atMost"): Promise<void>;
	selectLayer(participantId: string, encodingId: null, mode?: "auto" | "audioOnly" | "paused"): Promise<void>;

	/** Replaces a self-signed token by another one for the same participant. What it no longer permits is ended. */
	exchangeToken(token: string): Promise<void>;

	stats(): Promise<StageStats>;

	addEventListener<K extends keyof StageEventMap>(
		type: K,
		listener: (this: Stage, event: StageEventMap[K]) => void,
		options?: boolean | AddEventListenerOptions,
	): void;
	removeEventListener<K extends keyof StageEventMap>(
		type: K,
		listener: (this: Stage, event: StageEventMap[K]) => void,
		options?: boolean | EventListenerOptions,
	): void;
}
