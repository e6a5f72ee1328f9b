"""A track whose viewers may come from another track of the source, and go to another one.

A viewer that changes tracks is sent the old one up to the packet at which the new one can begin, and its numbers
continue: no gap and no double in the sequence numbers, no jump of the clock, and with VP8 no gap in the pictures. That
packet is the first one of a keyframe. Between versions of one layer that differ in their temporal layers, it may be
the first one of other frames (`ThinnedTrack`). A viewer whose video paused begins again in the same way.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import NO_SHIFT, SentPacket, Shift
from stagebook.media.rtc.sfu.simulcast.layer_allocator import STILLS
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from stagebook.media.rtc.sfu.source_track import EndedRun, SourceTrack

_TIME_STEPS_PER_SECOND: Final = 100
"""Timestamps of adopted viewers are shifted by whole steps of 10 ms, so that many viewers have equal shifts and are
served by one loop (`SourceTrack`). Sender reports are shifted alike, so audio and video stay in sync."""
_MAX_CLOCK_DIFFERENCE_SECONDS: Final = 0.2
"""Two tracks of a source follow one clock, apart from the jitter of the packets that they began with. Timestamps are
not shifted if they differ by no more than this, and would still grow."""
NO_PICTURE: Final = -1
"""The picture id or TL0PICIDX of a stream that has none."""


class StreamPosition(NamedTuple):
    """Where a viewer's stream stands, so that another track can continue it."""

    next_sequence: int
    octets: int
    """Payload bytes that the viewer has been sent."""
    timestamp: int
    """The newest timestamp of the stream, and when its packet came."""
    at: float
    picture_id: int
    """The picture id and TL0PICIDX of the newest frame; NO_PICTURE without one."""
    tl0: int


OnAdopted = Callable[[EndedRun | None, float], None]
"""Called with what the track before sent, None after a pause, and the time."""


class _Adoption(NamedTuple):
    """A viewer whose stream goes on here."""

    origin: "SwitchableTrack | StreamPosition"
    """The track that sends it until then, or where it has ended."""
    on_adopted: OnAdopted

    def is_of(self, whole: "SwitchableTrack") -> bool:
        """Whether a version of the same video sends to the viewer, frame by frame."""
        origin = self.origin
        return isinstance(origin, SwitchableTrack) and origin.whole is whole and origin.max_temporal_id != STILLS


class SwitchableTrack(SourceTrack):
    """A track between which and its siblings viewers move."""

    max_temporal_id: int | None = None
    """The uppermost temporal layer of its frames; None for all, STILLS for keyframes alone."""

    def __init__(
        self,
        *,
        kind: MediaKind,
        codec: Codec,
        clock_rate: int,
        random_bits: Callable[[int], int],
        schedule: SendSchedule | None = None,
    ) -> None:
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits, schedule=schedule)
        self._waiting: dict[DownTrack, _Adoption | None] = {}
        """Down tracks that wait for a packet at which they can start."""
        self._sent_picture = (NO_PICTURE, NO_PICTURE)
        """Picture id and TL0PICIDX of the newest frame that was sent."""

    @property
    @abstractmethod
    def whole(self) -> "SwitchableTrack":
        """The track with all temporal layers of the same video."""

    @abstractmethod
    def version(self, max_temporal_id: int | None) -> "SwitchableTrack":
        """The version of the same video without the temporal layers above one; None: the whole track."""

    @property
    @abstractmethod
    def newest(self) -> tuple[int, float] | None:
        """The newest timestamp, and when its packet arrived. None before the first packet."""

    @abstractmethod
    def request_keyframe(self, now: float) -> None:
        """Request a keyframe from the publisher, throttled there. No effect on audio, or without a publisher."""

    def add(self, down_track: DownTrack, now: float) -> None:
        """Start sending to a down track whose connection is up: audio with the next packet, video with the next
        keyframe, which is requested from the publisher. Call it once for a down track."""
        self._waiting[down_track] = None
        self.request_keyframe(now)

    def adopt(self, down_track: DownTrack, *, origin: "SwitchableTrack", now: float, on_adopted: OnAdopted) -> None:
        """Send to a down track from the next packet on at which it can start. Until then `origin` sends to it, where it
        has started. `on_adopted` is called then."""
        adoption = self._waiting[down_track] = _Adoption(origin, on_adopted)
        if not adoption.is_of(self.whole):
            self.request_keyframe(now)

    def resume(self, down_track: DownTrack, end: StreamPosition, *, now: float, on_adopted: OnAdopted) -> None:
        """Send to a down track whose stream has ended there, from the next packet on at which it can start."""
        self._waiting[down_track] = _Adoption(end, on_adopted)
        self.request_keyframe(now)

    def remove(self, down_track: DownTrack) -> None:
        """Stop sending to a down track. A down track that was never added is ignored."""
        self._waiting.pop(down_track, None)
        super().remove(down_track)

    def handle_keyframe_request(self, down_track: DownTrack, now: float) -> None:  # noqa: ARG002 - for all viewers
        """Pass a viewer's PLI or FIR on to the publisher. The keyframe goes to all viewers."""
        self.request_keyframe(now)

    def stream_position(self, down_track: DownTrack, now: float) -> StreamPosition:
        """Where the stream of a live down track stands. Raises KeyError unless it `has_started`."""
        shift, (picture_id, tl0) = self.shift(down_track), self._sent_picture
        timestamp, at = self.newest or (0, now)
        last = self._starts[down_track].sequence - 1 if self._newest is None else self._newest.sequence
        return StreamPosition(
            next_sequence=(last + down_track.sequence_offset + 1) & 0xFFFF,
            octets=self.sent_octets(down_track),
            timestamp=(timestamp + shift.timestamp) & 0xFFFFFFFF,
            at=at,
            picture_id=picture_id if picture_id == NO_PICTURE else (picture_id + shift.picture_id) & 0x7FFF,
            tl0=tl0 if tl0 == NO_PICTURE else (tl0 + shift.tl0) & 0xFF,
        )

    # For the subclasses

    def _start_waiting(
        self, packet: SentPacket, layer: PictureLayer, picture: tuple[int, int], now: float, *, is_late: bool
    ) -> None:
        """Make the down tracks live that can start at this packet, before it is sent. `picture` has the packet's
        picture id and TL0PICIDX."""
        if is_late:
            # The packets after it have been sent.
            return
        needs_keyframe = False
        for down_track, adoption in list(self._waiting.items()):
            if not self._can_start(adoption, layer):
                needs_keyframe |= adoption is None or not adoption.is_of(self.whole)
                continue
            del self._waiting[down_track]
            if adoption is None:
                self._go_live(down_track, sequence=packet.sequence, first=self._first_sequence(), now=now)
            else:
                self._take(adoption, down_track, packet, layer, picture, now)
        if needs_keyframe:
            # With each packet, because a request or the keyframe itself may have been lost. The publisher's side
            # throttles it.
            self.request_keyframe(now)

    def _can_start(self, adoption: _Adoption | None, layer: PictureLayer) -> bool:
        if layer.starts_keyframe:
            return True
        if adoption is None or not adoption.is_of(self.whole) or not layer.starts_frame:
            return False
        origin = adoption.origin
        if not isinstance(origin, SwitchableTrack) or origin.max_temporal_id is None:
            return True
        # The viewer has no frames above its layer, so it may begin with one that does not need any.
        is_below = self.max_temporal_id is not None and self.max_temporal_id < origin.max_temporal_id
        return is_below or (layer.is_sync and layer.temporal_id > origin.max_temporal_id)

    def _take(
        self,
        adoption: _Adoption,
        down_track: DownTrack,
        packet: SentPacket,
        layer: PictureLayer,
        picture: tuple[int, int],
        now: float,
    ) -> None:
        """Continue a down track's stream here: `packet` is the next one."""
        is_same_layer, shift, ended = adoption.is_of(self.whole), NO_SHIFT, None
        if isinstance(adoption.origin, StreamPosition):
            end = adoption.origin
        else:
            shift = adoption.origin.shift(down_track)
            end = adoption.origin.stream_position(down_track, now)
            ended = adoption.origin.end_run(down_track)
        self._go_live(
            down_track,
            sequence=packet.sequence,
            first=end.next_sequence,
            now=now,
            octets=end.octets,
            shift=Shift(
                timestamp=shift.timestamp if is_same_layer else self._time_shift(end, packet.timestamp, now),
                picture_id=_number_shift(end.picture_id + 1, picture[0], end.picture_id, 0x7FFF),
                tl0=shift.tl0
                if is_same_layer
                else _number_shift(end.tl0 + (layer.temporal_id == 0), picture[1], end.tl0, 0xFF),
            ),
        )
        adoption.on_adopted(ended, now)

    def _time_shift(self, end: StreamPosition, timestamp: int, now: float) -> int:
        """What to add to this track's timestamps for a viewer, so that its stream continues with `timestamp`."""
        elapsed = max(1, round((now - end.at) * self.clock_rate))
        ahead = timestamp_distance(timestamp, end.timestamp)
        if 0 < ahead <= elapsed + _MAX_CLOCK_DIFFERENCE_SECONDS * self.clock_rate:
            return 0
        step = self.clock_rate // _TIME_STEPS_PER_SECOND
        # Rounded up to whole steps.
        return (-(-(elapsed - ahead) // step) * step) & 0xFFFFFFFF


def _number_shift(wanted: int, given: int, before: int, mask: int) -> int:
    """What to add to `given` so that it is `wanted`; 0 if there was no number `before`, or there is none now."""
    return 0 if NO_PICTURE in (before, given) else (wanted - given) & mask
