"""The packets of a tapped WebRTC publisher, made into frames. Sans-I/O.

What the engine relays is what the publisher has sent, decrypted: all simulcast layers, retransmissions (RTX, RFC 4588),
audio that repeats earlier frames (RED, RFC 2198), and sender reports. The engine requests missing packets for all of
them. A malformed packet is dropped, and affects nothing but its stream.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.red_payload import unpack_red
from stagebook.media.rtc.rtp.rtcp import SenderReport, make_parse_budget, parse_rtcp
from stagebook.media.rtc.rtp.rtp_packet import RTX_HEADER_SIZE_BYTES, RtpPacket, extension_value, parse_rtp
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, TrackPlan
from stagebook.media.tap.layer_follower import LayerFollower, PictureLimit
from stagebook.media.tap.packet_order import MediaPacket
from stagebook.media.tap.source_timeline import SourceTimeline
from stagebook.media.tap.stream_clock import PublisherClock
from stagebook.media.tap.tapped_stream import StreamFrame, TappedStream

MAX_STREAMS: Final = 6
"""SSRCs of a kind at a time, as `sfu.incoming_track` receives."""
FORGET_SECONDS: Final = 10.0
"""A stream without packets for this long is removed, unless it is the one that is handed on, which may be muted."""
MAX_KEPT_REPORTS: Final = 16
"""Sender reports that came before the first packet of their stream."""


class _Role(Enum):
    MEDIA = auto()
    RED = auto()
    RTX = auto()


class _PayloadType(NamedTuple):
    plan: TrackPlan
    role: _Role


class PublisherTap:
    """One publisher that feeds a tapped source."""

    def __init__(
        self,
        plan: PublisherPlan,
        rids: Mapping[int, str],
        *,
        timeline: SourceTimeline,
        height: int | None,
        limit: PictureLimit | None,
        settling_seconds: float,
        patience_seconds: float,
        hand_on: Callable[[TappedStream, StreamFrame], None],
        ask_for_keyframe: Callable[[int], None],
    ) -> None:
        """`rids` are the RIDs by SSRC that the publisher has sent before. `height` is the wanted height of the video in
        pixels; None for the best layer. Layers above `limit` are avoided. `settling_seconds` is how long the
        layers may take to show their heights at the start. `patience_seconds` is how long lost packets are waited for.

        `hand_on` gets each frame with its stream. `ask_for_keyframe` requests a keyframe of an SSRC.
        """
        self.plan = plan
        self._rids = dict(rids)
        self._clock = PublisherClock(timeline)
        self._patience_seconds = patience_seconds
        self._hand_on = hand_on
        self._types = _payload_types(plan)
        layers = 1 if plan.video is None else max(1, len(plan.video.encoding_ids))
        self._video = LayerFollower(
            layers=layers,
            height=height,
            limit=limit,
            settling_seconds=settling_seconds,
            ask_for_keyframe=ask_for_keyframe,
        )
        self._audio: dict[int, TappedStream] = {}
        self._rtx_streams: dict[int, TappedStream] = {}
        """Streams by the SSRC that repairs them."""
        self._early_reports: dict[int, SenderReport] = {}
        self._rtcp = make_parse_budget()

    def change_plan(self, plan: PublisherPlan) -> None:
        """The publisher sends another of its codecs."""
        self.plan = plan
        self._types = _payload_types(plan)

    def choose_height(self, pixels: int | None, now: float) -> None:
        """Hand on the smallest layer that is at least so high, from its next keyframe on; None: the best one."""
        self._video.height = pixels
        self._hand_on_video(self._video.tick(now))

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe of the video that is handed on, within the pace of requests."""
        self._video.request_keyframe(now)

    def tick(self, now: float) -> None:
        """Give up lost packets, choose the layer and forget silent streams. Called a few times a second."""
        for stream in self._all_streams():
            frames = stream.expire(now)
            if frames:
                self._receive_frames(stream, frames, now)
            if now - stream.last_packet_at > FORGET_SECONDS and not self._is_handed_on(stream):
                self._forget(stream)
        self._hand_on_video(self._video.tick(now))

    def flush(self, now: float) -> float | None:
        """Hand on what waits for lost packets: nothing more comes. Returns the time of the newest packet of what is
        handed on, in microseconds; None without one."""
        for stream in self._all_streams():
            frames = stream.expire(float("inf"))
            if frames:
                self._receive_frames(stream, frames, now)
        ends = [stream.end_us for stream in self._all_streams() if self._is_handed_on(stream)]
        return max((end_us for end_us in ends if end_us is not None), default=None)

    # Packets

    def receive_packet(self, packet: bytes, now: float) -> None:
        """Receive an RTP packet of the publisher. A malformed one, or one that was not negotiated, is dropped."""
        parsed = parse_rtp(packet)
        known = None if parsed is None else self._types.get(parsed.payload_type)
        if parsed is None or known is None or (not parsed.payload and known.role is not _Role.MEDIA):
            return
        if known.role is _Role.RTX:
            self._receive_rtx(parsed, known.plan, now)
            return
        stream = self._stream(parsed, known.plan, now)
        if stream is None:
            return
        if known.role is _Role.RED:
            self._receive_red(stream, parsed, known.plan, now)
            return
        packet_of_media = MediaPacket(parsed.timestamp, parsed.marker, parsed.payload)
        frames = stream.receive(parsed.sequence, packet_of_media, now)
        if frames or stream.waits_for_keyframe:
            self._receive_frames(stream, frames, now)

    def _receive_red(self, stream: TappedStream, packet: RtpPacket, plan: TrackPlan, now: float) -> None:
        """Receive audio with redundancy. A repeated frame fills the place of its packet if that is missing."""
        audio = unpack_red(packet.payload, plan.payload_type)
        if audio is None:
            return
        own = MediaPacket(packet.timestamp, packet.marker, audio.payload)
        frames = stream.receive(packet.sequence, own, now)
        for each in audio.repeated:
            timestamp = (packet.timestamp - each.timestamp_offset) & 0xFFFFFFFF
            sequence = (packet.sequence - each.packets_before) & 0xFFFF
            frames += stream.repair(sequence, MediaPacket(timestamp, 0, each.payload), now)
        self._receive_frames(stream, frames, now)

    def _receive_rtx(self, packet: RtpPacket, plan: TrackPlan, now: float) -> None:
        """Receive a retransmission: the original sequence number and the original payload (RFC 4588 section 4)."""
        if len(packet.payload) < RTX_HEADER_SIZE_BYTES:
            return
        sequence = int.from_bytes(packet.payload[:RTX_HEADER_SIZE_BYTES])
        stream = self._rtx_streams.get(packet.ssrc) or self._find_repaired(packet, plan, sequence)
        if stream is not None:
            payload = packet.payload[RTX_HEADER_SIZE_BYTES:]
            frames = stream.repair(sequence, MediaPacket(packet.timestamp, packet.marker, payload), now)
            self._receive_frames(stream, frames, now)

    def _find_repaired(self, packet: RtpPacket, plan: TrackPlan, sequence: int) -> TappedStream | None:
        """The stream that an RTX stream repairs: by SDP (RFC 5576 section 4.2), by the repaired-rid of the packet (RFC
        8852), or because only one stream misses the packet."""
        streams = self._streams_of(plan.kind)
        stream = streams.get(plan.rtx_of.get(packet.ssrc, -1))
        rid = _extension_text(packet, plan.extensions.repaired_rid)
        if stream is None and rid is not None:
            stream = next((each for each in streams.values() if self._rids.get(each.ssrc) == rid), None)
        if stream is None and rid is None:
            missing = [each for each in streams.values() if each.is_missing(sequence)]
            return missing[0] if len(missing) == 1 else None
        if stream is not None and len(self._rtx_streams) < 2 * MAX_STREAMS:
            self._rtx_streams[packet.ssrc] = stream
        return stream

    def receive_report(self, compound: bytes, now: float) -> None:
        """Receive an RTCP compound of the publisher: its sender reports map timestamps to time."""
        self._rtcp.renew(now)
        for message in parse_rtcp(compound, self._rtcp):
            if isinstance(message, SenderReport):
                stream = self._audio.get(message.ssrc) or self._video.streams.get(message.ssrc)
                if stream is not None:
                    stream.clock.report(ntp=message.ntp, timestamp=message.rtp_timestamp, now=now)
                elif len(self._early_reports) < MAX_KEPT_REPORTS:
                    self._early_reports[message.ssrc] = message

    # Streams

    def _stream(self, packet: RtpPacket, plan: TrackPlan, now: float) -> TappedStream | None:
        streams = self._streams_of(plan.kind)
        stream = streams.get(packet.ssrc)
        if stream is not None and stream.plan.codec is plan.codec:
            return stream
        if not packet.payload:
            return None
        if stream is not None:
            self._forget(stream)
        if len(streams) >= MAX_STREAMS:
            stalest = min(streams.values(), key=lambda each: each.last_packet_at)
            if now - stalest.last_packet_at < FORGET_SECONDS / 2:
                return None
            self._forget(stalest)
        return self._add_stream(streams, packet, plan, now)

    def _add_stream(
        self, streams: dict[int, TappedStream], packet: RtpPacket, plan: TrackPlan, now: float
    ) -> TappedStream:
        rid = _extension_text(packet, plan.extensions.rid) or self._rids.get(packet.ssrc)
        if rid is not None:
            self._rids[packet.ssrc] = rid
            while len(self._rids) > 4 * MAX_STREAMS:
                del self._rids[next(iter(self._rids))]
        by_position = str(plan.ssrcs.index(packet.ssrc)) if packet.ssrc in plan.ssrcs else None
        stream = streams[packet.ssrc] = TappedStream(
            plan,
            ssrc=packet.ssrc,
            encoding_id=rid if plan.rids else by_position if plan.encoding_ids else None,
            clock=self._clock,
            patience_seconds=self._patience_seconds,
            now=now,
        )
        report = self._early_reports.pop(packet.ssrc, None)
        if report is not None:
            stream.clock.arrive(packet.timestamp, now)
            stream.clock.report(ntp=report.ntp, timestamp=report.rtp_timestamp, now=now)
        return stream

    def _streams_of(self, kind: MediaKind) -> dict[int, TappedStream]:
        return self._audio if kind is MediaKind.AUDIO else self._video.streams

    def _all_streams(self) -> Iterable[TappedStream]:
        return [*self._audio.values(), *self._video.streams.values()]

    def _forget(self, stream: TappedStream) -> None:
        del self._streams_of(stream.plan.kind)[stream.ssrc]
        self._video.forget(stream)
        self._rtx_streams = {ssrc: other for ssrc, other in self._rtx_streams.items() if other is not stream}

    def _is_handed_on(self, stream: TappedStream) -> bool:
        if stream.plan.kind is MediaKind.VIDEO:
            return stream is self._video.current
        # A sender that goes on with another SSRC has left the one before.
        return stream.began_at >= max(each.began_at for each in self._audio.values())

    # Frames

    def _receive_frames(self, stream: TappedStream, frames: list[StreamFrame], now: float) -> None:
        if stream.plan.kind is MediaKind.VIDEO:
            self._hand_on_video(self._video.receive(stream, frames, now))
            return
        if self._is_handed_on(stream):
            for each in frames:
                self._hand_on(stream, each)

    def _hand_on_video(self, frames: list[StreamFrame]) -> None:
        stream = self._video.current
        if stream is not None:
            for each in frames:
                self._hand_on(stream, each)


def _payload_types(plan: PublisherPlan) -> dict[int, _PayloadType]:
    types: dict[int, _PayloadType] = {}
    for track in plan.tracks:
        for each in (track, *track.alternatives):
            for number, role in (
                (each.payload_type, _Role.MEDIA),
                (each.red_payload_type, _Role.RED),
                (each.rtx_payload_type, _Role.RTX),
            ):
                if number is not None:
                    types[number] = _PayloadType(each, role)
    return types


def _extension_text(packet: RtpPacket, element_id: int | None) -> str | None:
    """The value of a header extension element (RFC 8285) that holds a string, such as a RID."""
    if element_id is None or not packet.extension:
        return None
    value = extension_value(packet.extension, element_id)
    return value.decode("ascii", "replace") if value else None
