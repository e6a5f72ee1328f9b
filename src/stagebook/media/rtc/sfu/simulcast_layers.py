"""The layers of one track of a publisher, and which of them is the best one now. Sans-I/O.

A layer is one SSRC: a simulcast layer, or the only stream there is. A sender that starts over with a new SSRC is
the same case: the former layer falls silent, the new one is the best.
"""

from collections.abc import Collection

from stagebook.media.rtc.rtp.bandwidth_estimate import QueueDelay
from stagebook.media.rtc.rtp.stream_receiver import StreamReceiver

SILENCE_SECONDS = 0.7
"""A layer that was silent for this long while another one sent is off: Chromium drops high layers on a thin uplink."""
FORGET_SECONDS = 10.0
CLEARLY_HIGHER = 1.25


class Layer:
    """One SSRC of a track: what arrives of it and how much."""

    __slots__ = ("bitrate_bps", "last_packet_at", "octets", "pixels", "queue", "receiver", "rid", "ssrc")

    def __init__(self, *, ssrc: int, clock_rate: int, rid: str | None, now: float) -> None:
        self.ssrc = ssrc
        self.rid = rid
        self.receiver = StreamReceiver(ssrc=ssrc, clock_rate=clock_rate)
        self.queue = QueueDelay(clock_rate=clock_rate)
        self.octets = 0
        """Payload bytes since the last `take_rate`."""
        self.bitrate_bps = 0
        self.pixels = 0
        """Width times height of its last keyframe; 0 while unknown."""
        self.last_packet_at = now

    def take_rate(self, seconds: float) -> int:
        """The bitrate of the `seconds` that end now; starts the next interval."""
        self.bitrate_bps, self.octets = int(self.octets * 8 / seconds), 0
        return self.bitrate_bps


def best_layer(layers: Collection[Layer], *, current: Layer | None) -> Layer | None:
    """The active layer with the most pixels, among equals the one with the highest rate; None if there is none.

    `current` stays the best against a layer of the same size unless that one's rate is clearly higher.

    Silence is measured against the newest packet of all layers, not against the clock: when a whole publisher pauses,
    no layer is worse than before.
    """
    if not layers:
        return None
    newest = max(layer.last_packet_at for layer in layers)
    active = [layer for layer in layers if newest - layer.last_packet_at < SILENCE_SECONDS]
    best = max(active, key=lambda layer: (layer.pixels, layer.bitrate_bps))
    if current in active and best.pixels == current.pixels and best.bitrate_bps < current.bitrate_bps * CLEARLY_HIGHER:
        return current
    return best
