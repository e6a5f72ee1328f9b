"""The layers of one publisher's track, and the choice of one of them. Sans-I/O.

A layer is one SSRC. With simulcast (RFC 8853) a track has several, each an encoding of the same picture at another
size; without it a track has one. A sender that restarts with a new SSRC looks the same: the old layer stops, the new
one is chosen.

The encoding id names a layer for viewers. It is the same for the same layer of a publisher that connects again, while
the SSRC is another one.
"""

from collections.abc import Collection

from stagebook.media.codecs.h264_parameter_sets import ParameterSets
from stagebook.media.rtc.rtp.bandwidth_estimate import QueueDelay
from stagebook.media.rtc.rtp.path_timing import PathTiming
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.stream_receiver import StreamReceiver
from stagebook.media.rtc.sfu.simulcast.layer_meter import LayerMeter
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayerReader

SILENCE_SECONDS = 0.7
"""A layer without packets for this long, while another layer sends, is inactive. Chromium stops its high layers when
its uplink is too slow for them."""
FORGET_SECONDS = 10.0
"""A layer without packets for this long is removed."""
CLEARLY_HIGHER = 1.25
"""A layer of the same size replaces the current one only if its bitrate is higher by this factor."""


_AVERAGE_SHARE = 0.2
"""The share of a second's value in the average: it follows a change within some five seconds."""
_CLEAR_CHANGE = 0.25
"""An average that has changed by this share is shown."""


class SteadyValue:
    """A measured value for people and applications: it changes only when its average has clearly changed.

    Clients compare one list of layers with the next. The Web Broadcast SDK emits two events if any value differs.
    """

    __slots__ = ("_average", "shown")

    def __init__(self) -> None:
        self._average = 0.0
        self.shown = 0
        """0 before the first value."""

    def add(self, measured: float) -> None:
        """Add the value of one more second."""
        self._average += (measured - self._average) * (_AVERAGE_SHARE if self.shown else 1.0)
        if abs(self._average - self.shown) > self.shown * _CLEAR_CHANGE:
            self.shown = round(self._average)


class Layer:
    """One SSRC of a track, with its receive statistics."""

    __slots__ = (
        "_octets_before",
        "bitrate_bps",
        "encoding_id",
        "frames",
        "keyframe_requested_at",
        "last_packet_at",
        "meter",
        "octets",
        "parameter_sets",
        "pictures",
        "queue",
        "receiver",
        "rid",
        "sender_report",
        "shown_bitrate_bps",
        "shown_frames_per_second",
        "size",
        "size_requested_at",
        "size_requests",
        "ssrc",
        "wants_keyframe",
    )

    def __init__(
        self,
        *,
        ssrc: int,
        clock_rate: int,
        rid: str | None,
        now: float,
        encoding_id: str | None = None,
        parameter_sets: ParameterSets | None = None,
        pictures: PictureLayerReader | None = None,
        timing: PathTiming | None = None,
        has_rtx: bool = False,
    ) -> None:
        """`timing` and `has_rtx` are those of StreamReceiver."""
        self.ssrc = ssrc
        self.rid = rid
        """The RTP stream id (RFC 8852) that the SSRC's packets carried; None without simulcast."""
        self.encoding_id = encoding_id
        """None without simulcast."""
        self.receiver = StreamReceiver(ssrc=ssrc, clock_rate=clock_rate, timing=timing, has_rtx=has_rtx)
        self.queue = QueueDelay(clock_rate=clock_rate)
        self.octets = 0
        """Payload bytes since the last `take_rate`."""
        self._octets_before = 0
        self.frames = 0
        """Packets with the marker bit, which end a frame, since the last `take_rate`."""
        self.bitrate_bps = 0
        self.shown_bitrate_bps = SteadyValue()
        self.shown_frames_per_second = SteadyValue()
        self.size = (0, 0)
        """Width and height of its last keyframe; zeros while unknown."""
        self.size_requests = 0
        self.size_requested_at = now
        """How often a keyframe was requested to know the size, and when last; or when the layer was first received."""
        self.last_packet_at = now
        self.wants_keyframe = False
        """Whether a keyframe of it was asked for that has not been requested from the publisher yet."""
        self.keyframe_requested_at = float("-inf")
        self.sender_report: SenderReport | None = None
        """The newest one, for relays that begin later."""
        self.parameter_sets = parameter_sets
        """The parameter sets of a layer of H.264; None for other codecs."""
        self.pictures = pictures
        """Reads the frames of video; None for audio."""
        self.meter = LayerMeter(now)
        """What each temporal layer takes."""

    @property
    def pixels(self) -> int:
        """Width times height; 0 while unknown."""
        return self.size[0] * self.size[1]

    @property
    def received_octets(self) -> int:
        """All payload bytes so far, retransmissions included."""
        return self._octets_before + self.octets

    def take_rate(self, seconds: float) -> int:
        """The bitrate over the `seconds` since the last call, in bits per second of RTP payload, retransmissions
        included. Starts the next interval, also of the frame rate. `seconds` must not be 0."""
        self._octets_before += self.octets
        self.bitrate_bps, self.octets = int(self.octets * 8 / seconds), 0
        self.shown_bitrate_bps.add(self.bitrate_bps)
        self.shown_frames_per_second.add(self.frames / seconds)
        self.frames = 0
        return self.bitrate_bps


def active_layers(layers: Collection[Layer]) -> list[Layer]:
    """The layers that send.

    Silence is measured against the newest packet of all layers, not against the clock. When a publisher pauses all of
    them, the choice therefore stays as it is.
    """
    newest = max((layer.last_packet_at for layer in layers), default=0.0)
    return [layer for layer in layers if newest - layer.last_packet_at < SILENCE_SECONDS]


def best_layer(layers: Collection[Layer], *, current: Layer | None) -> Layer | None:
    """The active layer with the most pixels; among equals, the one with the highest bitrate. None without layers.

    `current` is kept against a layer of the same size unless that layer's bitrate is clearly higher.
    """
    active = active_layers(layers)
    if not active:
        return None
    best = max(active, key=lambda layer: (layer.pixels, layer.bitrate_bps))
    if current in active and best.pixels == current.pixels and best.bitrate_bps < current.bitrate_bps * CLEARLY_HIGHER:
        return current
    return best


def lowest_layer(layers: Collection[Layer]) -> Layer | None:
    """The active layer with the fewest pixels among those whose size is known. None if there is none."""
    known = [layer for layer in active_layers(layers) if layer.pixels]
    return min(known, key=lambda layer: (layer.pixels, layer.bitrate_bps), default=None)


def chosen_layer(layers: Collection[Layer], encoding_id: str, *, pixels: int, current: Layer | None) -> Layer | None:
    """The active layer with this encoding id, or else what comes closest to it from below. None without layers.

    `pixels` is the size that the layer with this id had, 0 if it is unknown. Without that layer the best one that is
    not larger is chosen; if all are larger, the smallest. So a viewer that chose a small picture never gets a large one
    while there is a smaller.
    """
    active = active_layers(layers)
    own = [layer for layer in active if layer.encoding_id == encoding_id]
    if own:
        return best_layer(own, current=current)
    fitting = [layer for layer in active if not pixels or layer.pixels <= pixels]
    return best_layer(fitting, current=current) or lowest_layer(active)
