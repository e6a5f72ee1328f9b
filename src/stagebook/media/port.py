"""The interface between the manager and the engines that move media.

An engine knows two kinds of objects, named by ids that the caller chooses:

* A source is one publication: the audio and video of one publisher. Viewers subscribe to a source.
* A connection is one peer's transport: a publisher's or viewer's WebRTC connection, or an encoder's RTMP connection. A
  source outlives the connections that publish it, so that a publisher can reconnect while its viewers stay. The id of
  a source begins with the AWS account that it belongs to and a full stop. An engine that forwards media on servers of
  its own may name its objects by it; to the others it is opaque.

Stages, participants, sessions and tokens are the manager's concern; an engine never sees them. Requests are calls of
`MediaEngine`. What happens without a request is reported to one listener as facts. All arguments, results and facts are
plain values that can be serialised, so an engine can run in another process or on another machine.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from stagebook.media.connection_statistics import ConnectionStatistics


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The SDP answer to an offer.

    `ice_session` identifies the ICE session; an ICE restart changes it. WHIP sends it as the ETag (RFC 9725 section
    4.3).
    """

    sdp: str
    ice_session: str
    has_layers: bool = False
    """For a viewer: whether the publisher sends its video in several simulcast layers."""
    sends_audio: bool = True
    sends_video: bool = True
    """For a publisher: whether it sends media of these kinds. One is always true."""


class PatchAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to an SDP fragment. `fragment` is None for trickled candidates, which have no answer."""

    fragment: str | None
    ice_session: str


class InitialLayer(StrEnum):
    """The simulcast layer that a viewer is to be sent first."""

    LOWEST = "lowest"
    HIGHEST = "highest"


class VideoLayer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One simulcast layer of a source. The bitrate and the frame rate are averages over some seconds, which are shown
    when they have clearly changed."""

    encoding_id: str
    """It names the layer: the rid, or the layer's position in a SIM group."""
    bitrate_bps: int
    """0 in the first second."""
    width: int
    height: int
    """Width and height are 0 before the first keyframe."""
    frames_per_second: int
    is_selected: bool
    """Whether it is the layer that the viewer is sent, or will be sent from the layer's next keyframe on."""


class VideoLayers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The active simulcast layers of a source for one viewer, the smallest first. Empty without simulcast."""

    section: int | None = None
    """Index of the video section in the viewer's offer; None for audio alone."""
    layers: tuple[VideoLayer, ...] = ()


class LayerMode(StrEnum):
    """What a viewer wants to be sent of a source."""

    AUTO = "auto"
    """The best that its line carries."""
    EXACTLY = "exactly"
    """One layer, and of the others only what replaces it while the publisher does not send it."""
    AT_MOST = "atMost"
    """The best that its line carries, up to one layer."""
    AUDIO_ONLY = "audioOnly"
    PAUSED = "paused"
    """Neither audio nor video."""


class LayerChoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A viewer's choice. It has an encoding id if the mode is EXACTLY or AT_MOST."""

    mode: LayerMode = LayerMode.AUTO
    encoding_id: str | None = None

    @classmethod
    def exactly(cls, encoding_id: str | None) -> "LayerChoice":
        """The choice of one layer; None: the engine's choice."""
        return cls() if encoding_id is None else cls(mode=LayerMode.EXACTLY, encoding_id=encoding_id)


class RefusalReason(StrEnum):
    """Why an engine refuses a request."""

    MALFORMED = "malformed"
    AUDIO_CODEC = "audio_codec"
    VIDEO_CODEC = "video_codec"
    UNKNOWN_SOURCE = "unknown_source"
    UNKNOWN_CONNECTION = "unknown_connection"
    UNKNOWN_LAYER = "unknown_layer"
    ICE_SESSION_MISMATCH = "ice_session_mismatch"
    BUSY = "busy"
    ENGINE_LOST = "engine_lost"


class MediaRefusedError(Exception):
    """The engine refused a request. `detail` may be shown to the peer."""

    def __init__(self, *, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class CloseCause(StrEnum):
    """Why a connection ended without a call of `close` or `end_source`."""

    NEVER_CONNECTED = "never_connected"
    """ICE and DTLS were not established in time."""
    CONSENT_LOST = "consent_lost"
    """The peer stopped responding (for WebRTC, consent freshness of RFC 7675)."""
    PEER_CLOSED = "peer_closed"
    TRANSPORT_FAILED = "transport_failed"
    SOURCE_CHANGED = "source_changed"
    """The viewer cannot be sent the media of the source's new publisher: it sends another video codec than the viewer
    negotiated, or the engine moves no viewers."""
    REPLACED = "replaced"
    """A newer publisher of the same source has connected and taken the source over."""
    ENGINE_LOST = "engine_lost"
    """The process that served the connection exited, or failed for a reason of its own."""


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A connection is established: ICE and DTLS are up, or an encoder's audio and video have arrived.

    Reported once for each connection.
    """

    connection_id: str


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A connection has ended. Reported at most once for each connection.

    It is not reported for connections that `close` or `end_source` ended. For a publisher that a newer one of the same
    source replaced it follows the newer one's Connected. Without it, a caller that closes the newer one before that
    Connected arrives would take the older one for alive.
    """

    connection_id: str
    cause: CloseCause


class SourceMeasured(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A measurement of a source's RTP stream over the last second. A member is None if its value is not known.

    Reported about once a second for every source with a connected publisher. `bitrate_bps` counts the RTP payload of
    audio and of all simulcast layers that arrived.
    """

    source_id: str
    connection_id: str
    bitrate_bps: int | None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    frames_per_second: float | None = None
    has_b_frames: bool = False


SERVER_FAULT = "INTERNAL_SERVER_EXCEPTION"
"""The error code that an encoder receives for an error of the server (AWS's enum EventErrorCode)."""


class IngestFault(StrEnum):
    """Why an encoder's stream is ended because of its own data. Values are AWS's error codes (enum EventErrorCode)."""

    VIDEO_CODEC = "INVALID_VIDEO_CODEC"
    AUDIO_CODEC = "INVALID_AUDIO_CODEC"
    INPUT = "INVALID_INPUT"


class IngestAsked(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """An encoder sent a stream key and waits for `ingest` or `refuse_ingest`. It waits for a limited time."""

    ask_id: str
    stream_key: str
    is_secure: bool
    """Whether the connection is RTMPS."""
    remote_address: str

    def __repr__(self) -> str:
        members = f"is_secure={self.is_secure}, remote_address={self.remote_address!r}"
        return f"IngestAsked(ask_id={self.ask_id!r}, {members})"


class IngestFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """An encoder's connection has ended because its stream broke a rule. Reported once, instead of Closed."""

    connection_id: str
    fault: IngestFault
    detail: str


MediaFact: TypeAlias = Connected | Closed | SourceMeasured | IngestAsked | IngestFailed


class MediaEngine(Protocol):
    """An engine, or a pool of engines."""

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """Set the one listener for facts. It is called on the event loop's thread and must not block."""

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """Accept a publisher's SDP offer and return the answer.

        If the source exists, the new connection takes it over as soon as it is connected. The viewers stay, or are
        reported as Closed with SOURCE_CHANGED if they cannot be sent the media of the new one. Raises MediaRefusedError
        (MALFORMED, AUDIO_CODEC, VIDEO_CODEC, BUSY, ENGINE_LOST).
        """

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """Accept a viewer's SDP offer for a source and return the answer.

        With simulcast, the viewer is sent one layer of the video, by its bandwidth: the best one while that is not
        known. LOWEST and HIGHEST say with which one it starts. Without either, a viewer that reports how packets arrive
        starts with the lowest.

        Raises MediaRefusedError (MALFORMED, AUDIO_CODEC, VIDEO_CODEC, UNKNOWN_SOURCE, BUSY, ENGINE_LOST).
        """

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """Accept the encoder that sent IngestAsked. Connected follows when its audio and video have arrived.

        With `is_redundant`, several connections may feed the source side by side: one is forwarded to the viewers, and
        another replaces it when it ends or falls silent. Raises MediaRefusedError (UNKNOWN_CONNECTION if the encoder
        has disconnected; BUSY, ENGINE_LOST).
        """

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """Refuse the encoder that sent IngestAsked: send it `detail` and end its connection. Unknown ids are ignored.

        `is_wrong_key` means that no stream key matches. Connections from an address with many wrong keys are refused
        for a while.
        """

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Accept a fragment with trickled candidates or an ICE restart (RFC 8840, RFC 9725 section 4.3).

        Raises MediaRefusedError (MALFORMED, UNKNOWN_CONNECTION, ICE_SESSION_MISMATCH, ENGINE_LOST).
        """

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """Return the simulcast layers that a viewer can choose.

        Raises MediaRefusedError (UNKNOWN_CONNECTION, also for a publisher's connection; ENGINE_LOST).
        """

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """Send a viewer what it chooses.

        It takes effect with the next keyframe, and lasts until the next call. While the publisher does not send the
        chosen layer, the viewer is sent the next lower one. What the viewer's line does not carry is left out: frames,
        or the video. Raises MediaRefusedError (UNKNOWN_CONNECTION, UNKNOWN_LAYER, BUSY, ENGINE_LOST).
        """

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """Return what is known of the open ones of these connections of WebRTC.

        The listener has been given all earlier reports of the engine by then.

        Raises MediaRefusedError (BUSY, ENGINE_LOST).
        """

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        """End one connection; an encoder receives `detail`. Unknown ids are ignored.

        With `as_failure`, a WebRTC peer sees its connection fail at once; otherwise it is closed, which browsers show
        seconds later. The source of a publisher stays until `end_source`.
        """

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """End a source with all its publishers' and viewers' connections; encoders receive `detail`.

        Viewers see their connection fail. Unknown ids are ignored.
        """
