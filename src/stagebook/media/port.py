"""What a media engine must do, keyed by SOURCE (one publication) and CONNECTION (one peer), never by stage.

Knows no participant, no session, no event and no token. Ids are the caller's, opaque here. Everything that crosses
is a small typed message, so an engine can live in another process or on another machine.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to an offer. `ice_session` names the ICE session (it changes with a restart): WHIP's ETag."""

    sdp: str
    ice_session: str


class PatchAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a trickle or restart fragment; `fragment` is None for plain trickle (nothing to say)."""

    fragment: str | None
    ice_session: str


class RefusalReason(StrEnum):
    """Why an engine will not serve an offer or a fragment."""

    MALFORMED = "malformed"
    AUDIO_CODEC = "audio_codec"
    VIDEO_CODEC = "video_codec"
    UNKNOWN_SOURCE = "unknown_source"
    UNKNOWN_CONNECTION = "unknown_connection"
    ICE_SESSION_MISMATCH = "ice_session_mismatch"
    BUSY = "busy"
    ENGINE_LOST = "engine_lost"


class MediaRefusedError(Exception):
    """The engine refused. The text is safe to show to the peer."""

    def __init__(self, *, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class CloseCause(StrEnum):
    """Why a connection ended without being asked to."""

    NEVER_CONNECTED = "never_connected"
    CONSENT_LOST = "consent_lost"
    PEER_CLOSED = "peer_closed"
    TRANSPORT_FAILED = "transport_failed"
    SOURCE_CHANGED = "source_changed"
    ENGINE_LOST = "engine_lost"


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """ICE and DTLS are up: media can flow. Told once for each connection."""

    connection_id: str


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The connection is gone. Told once, and not for a connection that `close` or `end_source` ended,
    nor for a publisher's connection that a newer one of the same source replaced."""

    connection_id: str
    cause: CloseCause


class SourceMeasured(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """What the RTP of a source itself said in the last second. None where nothing is known (yet).

    Told once a second for every source whose publisher is connected. `bitrate_bps` counts RTP payload of audio and
    all video layers that arrived.
    """

    source_id: str
    connection_id: str
    bitrate_bps: int
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    frames_per_second: float | None = None
    has_b_frames: bool = False


SERVER_FAULT = "INTERNAL_SERVER_EXCEPTION"
"""The word that an encoder is told when it is not to blame (shape EventErrorCode)."""


class IngestFault(StrEnum):
    """Why an encoder's stream cannot go on: what its own bytes break, whatever the limits are. The values are the words
    that the encoder is told, AWS's own (shape EventErrorCode)."""

    VIDEO_CODEC = "INVALID_VIDEO_CODEC"
    AUDIO_CODEC = "INVALID_AUDIO_CODEC"
    INPUT = "INVALID_INPUT"


class IngestAsked(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """An encoder named a stream key and waits for `ingest` or `refuse_ingest`. It does not wait for ever."""

    ask_id: str
    stream_key: str
    is_secure: bool
    """Whether it came by RTMPS."""
    remote_address: str

    def __repr__(self) -> str:
        where = f"is_secure={self.is_secure}, remote_address={self.remote_address!r}"
        return f"IngestAsked(ask_id={self.ask_id!r}, {where})"


class IngestFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """An encoder's stream broke a rule and its connection is gone. Told once, and instead of Closed."""

    connection_id: str
    fault: IngestFault
    detail: str


MediaFact: TypeAlias = Connected | Closed | SourceMeasured | IngestAsked | IngestFailed


class MediaEngine(Protocol):
    """An engine, or a pool of them."""

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        """Name the one listener for facts; it is called on the event loop's thread and must not block."""

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """Take a publisher's SDP offer. If the source exists, the new connection takes it over when it is
        connected and its viewers stay. Raises MediaRefusedError (MALFORMED, AUDIO_CODEC, VIDEO_CODEC, BUSY,
        ENGINE_LOST)."""

    async def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """Take a viewer's SDP offer for a source. Raises MediaRefusedError (MALFORMED, AUDIO_CODEC, VIDEO_CODEC,
        UNKNOWN_SOURCE, BUSY, ENGINE_LOST)."""

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """Let the encoder that asked publish. Connected follows once its audio and video are there and understood.

        With `is_redundant` several connections may feed the source side by side: one of them is shown, the others
        stand by and take its place when it ends or falls silent. Raises MediaRefusedError (UNKNOWN_CONNECTION: the
        encoder is gone; BUSY, ENGINE_LOST)."""

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """Tell the encoder that asked why it may not publish, and end its connection. Unknown ids are fine.

        `is_wrong_key`: the key is nobody's. An address that tries many of those is not listened to for a while."""

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Take a trickle or ICE-restart fragment (RFC 8840, RFC 9725 section 4.3). Raises MediaRefusedError
        (MALFORMED, UNKNOWN_CONNECTION, ICE_SESSION_MISMATCH)."""

    async def close(self, *, connection_id: str, detail: str = "") -> None:
        """End one connection, and tell an encoder why: `detail`. Unknown ids are fine. A source whose publisher is
        closed stays for `end_source`."""

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """End a source, its publishers' connections and all of its viewers', and tell encoders why: `detail`. Unknown
        ids are fine."""
