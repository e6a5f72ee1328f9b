"""One RTP stream of a tapped publisher: its packets in order, made into frames. Sans-I/O."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.tap.access_unit_builder import AccessUnitBuilder
from stagebook.media.tap.frame_builder import BuiltFrame, FrameBuilder, OpusBuilder
from stagebook.media.tap.packet_order import MediaPacket, PacketOrder
from stagebook.media.tap.stream_clock import PublisherClock, StreamClock
from stagebook.media.tap.vp8_builder import Vp8Builder

KEYFRAME_SECONDS: Final = 1.0
"""Minimum time between two keyframe requests for a stream."""
MAX_HELD_BYTES: Final = 2 << 20
"""Of frames that are kept until it is decided which layer begins: half a second of them."""


class StreamFrame(NamedTuple):
    """A frame and whether packets were lost before it."""

    frame: BuiltFrame
    is_after_loss: bool


class TappedStream:
    """One SSRC of audio or video."""

    def __init__(
        self,
        plan: TrackPlan,
        *,
        ssrc: int,
        encoding_id: str | None,
        clock: PublisherClock,
        patience_seconds: float,
        now: float,
    ) -> None:
        """`plan` is that of its section with its codec. `encoding_id` is the name of its simulcast layer; None without
        simulcast. `patience_seconds` is how long it waits for lost packets. `now` is in monotonic seconds."""
        self.plan = plan
        self.ssrc = ssrc
        self.encoding_id = encoding_id
        self.height = 0
        """Of its last keyframe, in pixels; 0 while unknown."""
        self.width = 0
        self.began_at = self.last_packet_at = now
        self.octets = 0
        self.size_requests = 0
        """How often a keyframe was requested because the height was unknown."""
        self.held: list[StreamFrame] = []
        """The frames since its last keyframe, while it is not decided which layer is handed on first."""
        self._held_bytes = 0
        self.clock = StreamClock(plan.kind, clock_rate=plan.clock_rate, publisher=clock)
        self._order = PacketOrder(patience_seconds=patience_seconds)
        self._builder = _make_builder(plan)
        self._has_lost = False
        self._newest_timestamp: int | None = None
        self._wants_keyframe = False
        self._keyframe_asked_at = float("-inf")

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether it cannot go on without a keyframe, and none has begun."""
        return self._builder.waits_for_keyframe and not self._builder.is_building

    def is_missing(self, sequence: int) -> bool:
        """Whether a packet with this number is waited for."""
        return self._order.is_missing(sequence)

    def receive(self, sequence: int, packet: MediaPacket, now: float) -> list[StreamFrame]:
        """Receive a packet of the stream itself. Returns the frames that are complete now."""
        newest = self._newest_timestamp
        if packet.timestamp != newest:
            self.last_packet_at = now
            if newest is None or self._is_newer(packet.timestamp, newest):
                self._newest_timestamp = packet.timestamp
                self.clock.arrive(packet.timestamp, now)
        self.octets += len(packet.payload)
        return self._build(self._order.add(sequence, packet, now))

    def _is_newer(self, timestamp: int, newest: int) -> bool:
        distance = timestamp_distance(timestamp, newest)
        # A jump back by more than packets are reordered is one of the sender's.
        return distance > 0 or distance < -10 * self.plan.clock_rate

    def repair(self, sequence: int, packet: MediaPacket, now: float) -> list[StreamFrame]:
        """Receive a packet that was retransmitted or repeated, by its original number. It is ignored if it came."""
        return self._build(self._order.add(sequence, packet, now)) if self._order.is_missing(sequence) else []

    def expire(self, now: float) -> list[StreamFrame]:
        """Give up packets that were waited for too long; at `now` = infinity, all. Returns the frames behind them."""
        return self._build(self._order.expire(now))

    @property
    def end_us(self) -> float | None:
        """The time of the newest packet that has come, also if there is no frame of it. None if it is unknown."""
        return None if self._newest_timestamp is None else self.clock.time_us(self._newest_timestamp)

    def _build(self, packets: Sequence[MediaPacket | None]) -> list[StreamFrame]:
        frames: list[StreamFrame] = []
        for packet in packets:
            if packet is None:
                self._builder.lose()
                self._has_lost = True
                continue
            waited = self._builder.waits_for_keyframe
            for built in self._builder.add(packet):
                frames.append(StreamFrame(built, self._has_lost))
                self._has_lost = False
            # A malformed payload is a loss, too.
            self._has_lost |= self._builder.waits_for_keyframe and not waited
        return frames

    # Before the first layer is chosen

    def hold(self, frame: StreamFrame) -> None:
        """Keep a frame of a layer that may be handed on: from its last keyframe on."""
        if frame.frame.is_keyframe:
            self.release()
        if frame.frame.is_keyframe or self.held:
            self.held.append(frame)
            self._held_bytes += len(frame.frame.body)
            if self._held_bytes > MAX_HELD_BYTES:
                self.release()

    def release(self) -> list[StreamFrame]:
        """Return the kept frames, and keep them no longer."""
        held, self.held, self._held_bytes = self.held, [], 0
        return held

    # Keyframe requests

    def want_keyframe(self) -> None:
        """Request a keyframe as soon as the last request is KEYFRAME_SECONDS ago."""
        self._wants_keyframe = True

    def takes_request(self, now: float) -> bool:
        """Whether a keyframe is to be requested now. The caller does so: it counts as requested."""
        if not self._wants_keyframe or now - self._keyframe_asked_at < KEYFRAME_SECONDS:
            return False
        self._wants_keyframe = False
        self._keyframe_asked_at = now
        return True


def _make_builder(plan: TrackPlan) -> FrameBuilder:
    if plan.kind is MediaKind.AUDIO:
        return OpusBuilder()
    return AccessUnitBuilder(plan.parameter_sets) if plan.codec is Codec.H264 else Vp8Builder()
