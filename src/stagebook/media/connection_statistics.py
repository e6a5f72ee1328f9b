"""What an engine knows of one connection: how much flows, what is lost, and what it has decided for a viewer.

Counters are totals since the connection was opened, so that a client that reads twice has the rate in between. A member
is None where the peer reports nothing to know it by.
"""

from enum import StrEnum

import msgspec


class StreamStatistics(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One stream: the audio, the video, or one simulcast layer of a publisher's video."""

    kind: str
    """`audio` or `video`."""
    layer: str | None
    """The encoding id of the layer: that of the stream, or that which a viewer is sent. None without simulcast."""
    width: int | None
    height: int | None
    frames_per_second: float | None
    bitrate_bps: int | None
    """Of a publisher's stream, over the last second."""
    packets: int | None
    """Received from a publisher, or sent to a viewer for the first time."""
    lost_packets: int
    """Found missing and not repaired for a publisher; reported as lost by a viewer."""
    repaired_packets: int
    """Missing packets of a publisher that arrived after all. 0 for a viewer."""
    jitter_seconds: float | None
    """The interarrival jitter (RFC 3550 section 6.4.1)."""


class ConnectionRole(StrEnum):
    """What a connection is for."""

    PUBLISHER = "publisher"
    VIEWER = "viewer"


class LayerReason(StrEnum):
    """Why a viewer is sent the video that it is sent."""

    BEST = "best"
    """It is all that the publisher sends, or that the viewer wants, and its path carries it."""
    BANDWIDTH = "bandwidth"
    """The path does not carry more: of a video of one quality the viewer may be sent still pictures."""
    CHOSEN = "chosen"
    """The viewer chose a layer, or to be sent no video."""
    NO_ESTIMATE = "noEstimate"
    """Nothing tells what the path carries, so it is the best layer."""


class ConnectionStatistics(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One connection of WebRTC."""

    connection_id: str
    role: ConnectionRole
    transport: str | None
    """`udp` or `tcp`; None before the first check, and without consent to send."""
    seconds: float
    """Since the offer was answered."""
    bitrate_bps: int
    """All media that was received or sent, over the time since the last reading, or since the connection was opened."""
    estimate_bps: int | None
    """What the path to a viewer carries, or what a publisher is allowed to send."""
    round_trip_seconds: float | None
    loss: float | None
    """The share of packets that were lost lately, 0 to 1."""
    nacked_packets: int
    """Packets that the server requested from a publisher, or a viewer from the server."""
    resent_packets: int
    """Packets that were sent to a viewer again; 0 for a publisher."""
    keyframe_requests: int
    """PLI and FIR, sent to a publisher or received from a viewer. A viewer asks when it cannot decode: its picture
    stands still until the keyframe comes."""
    layer_reason: LayerReason | None
    """Why a viewer is sent its video. None for a publisher."""
    is_video_paused: bool
    """Whether a viewer is sent no video, because its path does not carry it or because it chose so."""
    streams: tuple[StreamStatistics, ...]
