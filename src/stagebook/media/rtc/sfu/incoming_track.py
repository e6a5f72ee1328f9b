"""One media section of a publisher: its layers, which of them is forwarded, and the keyframes it is asked for.

Knows RTP numbers and payload beginnings; not how packets came or how RTCP is sent.
"""

from collections.abc import Callable
from typing import NamedTuple

from stagebook.media.codecs import h264, vp8
from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import RTX_HEADER_SIZE_BYTES, RtpPacket, extension_value
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.rtp.stream_receiver import Arrival
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast_layers import FORGET_SECONDS, Layer, best_layer

MAX_LAYERS = 6
"""Three simulcast layers, and room for a sender that starts over."""
KEYFRAME_INTERVAL_SECONDS = 0.3
"""Between two requests to one layer, however many viewers ask: each keyframe costs the rate of many frames."""


class Sink(NamedTuple):
    """Where an incoming track's media goes: a source's track, and the meter of the source."""

    track: PublishedTrack
    meter: SourceMeter


class IncomingTrack:
    """One accepted section of a publisher's offer. Packets are told apart into layers; the best one is forwarded."""

    def __init__(self, plan: TrackPlan, *, ask_keyframe: Callable[["IncomingTrack", Layer], None]) -> None:
        self.plan = plan
        self.layers: dict[int, Layer] = {}
        """By media SSRC."""
        self.sink: Sink | None = None
        """None until the publisher has taken its source over, and again when it has lost it."""
        self.ignored_packets = 0
        self.current: Layer | None = None
        """The layer that is forwarded."""
        self._wanted: Layer | None = None
        """The layer to switch to at its next keyframe."""
        self._repaired: dict[int, Layer] = {}
        """Layers by the SSRC of their RTX stream."""
        self._keyframe_asked_at = float("-inf")
        self._ask_keyframe = ask_keyframe

    def request_keyframe(self, now: float) -> None:
        """Ask the layer that viewers need next for a keyframe, throttled."""
        layer = self._wanted or self.current
        if layer is None or now - self._keyframe_asked_at < KEYFRAME_INTERVAL_SECONDS:
            return
        self._keyframe_asked_at = now
        self._ask_keyframe(self, layer)

    def receive(self, packet: RtpPacket, now: float) -> Layer | None:
        """Take a packet with the section's payload type. Returns its layer; None if it was ignored."""
        layer = self.layers.get(packet.ssrc) or self._learn(packet, now)
        if layer is None:
            self.ignored_packets += 1
            return None
        arrival = layer.receiver.receive(sequence=packet.sequence, timestamp=packet.timestamp, now=now)
        layer.last_packet_at = now
        layer.octets += len(packet.payload)
        if arrival is Arrival.DISCARDED:
            return layer
        if arrival is Arrival.NEWEST:
            layer.queue.add_packet(timestamp=packet.timestamp, now=now)
        self._forward(layer, arrival, packet.sequence, packet.marker, packet.timestamp, packet.payload, now)
        return layer

    def receive_rtx(self, packet: RtpPacket, now: float) -> None:
        """Take a packet with the section's RTX payload type: the original's sequence number and payload (RFC 4588)."""
        if len(packet.payload) < RTX_HEADER_SIZE_BYTES:
            # Padding that probes the bandwidth.
            return
        sequence = int.from_bytes(packet.payload[:RTX_HEADER_SIZE_BYTES], "big")
        layer = self._repaired.get(packet.ssrc) or self._learn_rtx(packet, sequence)
        if layer is None:
            self.ignored_packets += 1
            return
        payload = packet.payload[RTX_HEADER_SIZE_BYTES:]
        layer.octets += len(payload)
        if layer.receiver.repair(sequence):
            self._forward(layer, Arrival.LATE, sequence, packet.marker, packet.timestamp, payload, now)

    def choose(self, now: float) -> None:
        """Look which layer is the best one now and head for it. Called a few times a second."""
        for layer in [layer for layer in self.layers.values() if now - layer.last_packet_at > FORGET_SECONDS]:
            if layer is not self.current:
                self._forget(layer)
        best = best_layer(self.layers.values(), current=self.current)
        self._wanted = None if best is self.current else best
        if self._wanted is not None:
            self.request_keyframe(now)

    def _forward(
        self, layer: Layer, arrival: Arrival, sequence: int, marker: int, timestamp: int, payload: bytes, now: float
    ) -> None:
        sink = self.sink
        if sink is None:
            return
        begins = self._begins(layer, payload) and arrival is not Arrival.LATE
        if layer is not self.current and not (begins and self._may_switch(layer)):
            sink.meter.add_bytes(len(payload))
            return
        if layer is not self.current or arrival is Arrival.RESTARTED:
            self.current, self._wanted = layer, None
            sink.track.switch(sequence=sequence, timestamp=timestamp, now=now)
        sent = sink.track.forward(
            sequence=sequence, marker=marker, timestamp=timestamp, payload=payload, now=now, begins=begins
        )
        if self.plan.kind is MediaKind.VIDEO and sent is not None:
            sink.meter.add_video(payload, sent)
        else:
            sink.meter.add_bytes(len(payload))

    def _may_switch(self, layer: Layer) -> bool:
        return self.current is None or layer is self._wanted or self.plan.kind is MediaKind.AUDIO

    def _begins(self, layer: Layer, payload: bytes) -> bool:
        """Whether a viewer can begin here. Notes the size of the layer's pictures on the way."""
        if self.plan.codec is Codec.VP8:
            size = vp8.keyframe_size(payload)
            if size is not None:
                layer.pixels = size[0] * size[1]
            return vp8.starts_keyframe(payload)
        if self.plan.codec is Codec.H264:
            begins = h264.starts_keyframe(payload)
            if begins:
                layer.pixels = _h264_pixels(payload) or layer.pixels
            return begins
        return True

    def _learn(self, packet: RtpPacket, now: float) -> Layer | None:
        """A new SSRC: a simulcast layer, or a sender that starts over."""
        if len(self.layers) >= MAX_LAYERS:
            stalest = min(self.layers.values(), key=lambda layer: layer.last_packet_at)
            if stalest is self.current or now - stalest.last_packet_at < FORGET_SECONDS / 2:
                return None
            self._forget(stalest)
        rid = _text(packet.extension, self.plan.extensions.rid)
        layer = Layer(ssrc=packet.ssrc, clock_rate=self.plan.clock_rate, rid=rid, now=now)
        self.layers[packet.ssrc] = layer
        return layer

    def _learn_rtx(self, packet: RtpPacket, sequence: int) -> Layer | None:
        """Whose repair stream an unknown SSRC is: as signalled, as its extension says, or whoever misses the packet."""
        layer = self.layers.get(self.plan.rtx_of.get(packet.ssrc, -1))
        rid = _text(packet.extension, self.plan.extensions.repaired_rid)
        if layer is None and rid is not None:
            layer = next((known for known in self.layers.values() if known.rid == rid), None)
        if layer is None and rid is None:
            waiting = [known for known in self.layers.values() if known.receiver.is_missing(sequence)]
            layer = waiting[0] if len(waiting) == 1 else None
        if layer is not None:
            self._repaired = {ssrc: other for ssrc, other in self._repaired.items() if other is not layer}
            self._repaired[packet.ssrc] = layer
        return layer

    def _forget(self, layer: Layer) -> None:
        del self.layers[layer.ssrc]
        self._repaired = {ssrc: other for ssrc, other in self._repaired.items() if other is not layer}
        if self._wanted is layer:
            self._wanted = None


def _text(extension: bytes, element_id: int | None) -> str | None:
    """A header extension's text, such as a rid."""
    value = extension_value(extension, element_id) if element_id is not None and extension else None
    return value.decode("ascii", "replace") if value else None


def _h264_pixels(payload: bytes) -> int | None:
    for unit in h264.nal_units(payload):
        parameters = h264.parse_sps(unit)
        if parameters is not None:
            return parameters.width * parameters.height
    return None
