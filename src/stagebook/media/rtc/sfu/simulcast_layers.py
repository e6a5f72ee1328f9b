"""The layers of one publisher's track, and the choice of the best one. Sans-I/O.

A layer is one SSRC. With simulcast (RFC 8853) a track has several, each an encoding of the same picture at another
size; without it a track has one. A sender that restarts with a new SSRC looks the same: the old layer stops, the new
one is chosen.
"""

from collections.abc import Collection

from stagebook.media.codecs.h264_parameter_sets import ParameterSets
from stagebook.media.rtc.rtp.bandwidth_estimate import QueueDelay
from stagebook.media.rtc.rtp.stream_receiver import StreamReceiver

SILENCE_SECONDS = 0.7
"""A layer without packets for this long, while another layer sends, is inactive. Chromium stops its high layers when
its uplink is too slow for them."""
FORGET_SECONDS = 10.0
"""A layer without packets for this long is removed."""
CLEARLY_HIGHER = 1.25
"""A layer of the same size replaces the current one only if its bitrate is higher by this factor."""


class Layer:
    """One SSRC of a track, with its receive statistics."""

    __slots__ = (
        "bitrate_bps",
        "last_packet_at",
        "octets",
        "parameter_sets",
        "pixels",
        "queue",
        "receiver",
        "rid",
        "ssrc",
    )

    def __init__(
        self, *, ssrc: int, clock_rate: int, rid: str | None, now: float, parameter_sets: ParameterSets | None = None
    ) -> None:
        self.ssrc = ssrc
        self.rid = rid
        """The RTP stream id (RFC 8852) that the SSRC's packets carried; None without simulcast."""
        self.receiver = StreamReceiver(ssrc=ssrc, clock_rate=clock_rate)
        self.queue = QueueDelay(clock_rate=clock_rate)
        self.octets = 0
        """Payload bytes since the last `take_rate`."""
        self.bitrate_bps = 0
        self.pixels = 0
        """Width times height of its last keyframe; 0 while unknown."""
        self.last_packet_at = now
        self.parameter_sets = parameter_sets
        """The parameter sets of a layer of H.264; None for other codecs."""

    def take_rate(self, seconds: float) -> int:
        """The bitrate over the `seconds` since the last call, in bits per second of RTP payload, retransmissions
        included. Starts the next interval. `seconds` must not be 0."""
        self.bitrate_bps, self.octets = int(self.octets * 8 / seconds), 0
        return self.bitrate_bps


def best_layer(layers: Collection[Layer], *, current: Layer | None) -> Layer | None:
    """The active layer with the most pixels; among equals, the one with the highest bitrate. None without layers.

    `current` is kept against a layer of the same size unless that layer's bitrate is clearly higher.

    Silence is measured against the newest packet of all layers, not against the clock. When a publisher pauses all of
    them, the choice therefore stays as it is.
    """
    if not layers:
        return None
    newest = max(layer.last_packet_at for layer in layers)
    active = [layer for layer in layers if newest - layer.last_packet_at < SILENCE_SECONDS]
    best = max(active, key=lambda layer: (layer.pixels, layer.bitrate_bps))
    if current in active and best.pixels == current.pixels and best.bitrate_bps < current.bitrate_bps * CLEARLY_HIGHER:
        return current
    return best
