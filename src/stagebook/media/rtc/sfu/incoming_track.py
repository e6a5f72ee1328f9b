"""One accepted media section of a publisher's offer: its layers, and which of them is forwarded.

Packets are assigned to layers by SSRC. The section forwards one layer, the current one. When another layer becomes the
best (`simulcast_layers.best_layer`), it becomes the target: the section requests a keyframe from it and switches when
the keyframe arrives, because a viewer cannot decode the new layer earlier.

A keyframe of H.264 that comes without its parameter sets gets them inserted (`h264_parameter_sets`).

Retransmissions come as a stream of their own with its own SSRC and payload type (RTX, RFC 4588); each is unpacked and
treated as the late arrival of the original packet.
"""

from collections.abc import Callable
from typing import NamedTuple

from stagebook.media.codecs import h264, vp8
from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.codecs.h264_parameter_sets import ParameterSets
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.rtp.rtp_packet import RTX_HEADER_SIZE_BYTES, RtpPacket, extension_value
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.rtp.stream_receiver import Arrival
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast_layers import FORGET_SECONDS, Layer, best_layer

_PACKETS_BEFORE_KEYFRAME = 4
"""The packets just before a keyframe's first slice that may hold its parameter sets: delimiter, SPS, PPS and SEI."""
MAX_LAYERS = 6
"""Three simulcast layers, and three more for a sender that restarts with new SSRCs."""
KEYFRAME_INTERVAL_SECONDS = 0.3
"""Minimum time between two keyframe requests of a track. A keyframe costs the bits of many frames, so requests of
several viewers are merged."""
MAX_KEYFRAMES_AT_ONCE = 10
KEYFRAMES_PER_SECOND = 1.0
"""The requests in the long run, whatever number of viewers join, leave and ask: a client with many viewers must not
spoil the picture of the others. A viewer that joins then waits for a second at most."""


class TrackOutput(NamedTuple):
    """Where an incoming track's packets go: a track of the source, and the meter of the source."""

    track: PublishedTrack
    meter: SourceMeter


class IncomingTrack:
    """The receiving end of one media section."""

    def __init__(self, plan: TrackPlan, *, send_keyframe_request: Callable[["IncomingTrack", Layer], None]) -> None:
        """`send_keyframe_request` sends a PLI or FIR for a layer to the publisher."""
        self.plan = plan
        self.layers: dict[int, Layer] = {}
        """By media SSRC."""
        self.output: TrackOutput | None = None
        """None while the publisher is not the one that feeds its source."""
        self.ignored_packets = 0
        """Packets of an SSRC beyond MAX_LAYERS, and retransmissions of an unknown layer."""
        self.current: Layer | None = None
        """The forwarded layer."""
        self._target: Layer | None = None
        """The layer to switch to at its next keyframe."""
        self._rtx_layers: dict[int, Layer] = {}
        """Layers by the SSRC of their RTX stream."""
        self._keyframe_requested_at = float("-inf")
        self._keyframes = RtcpBudget(per_second=KEYFRAMES_PER_SECOND, burst=MAX_KEYFRAMES_AT_ONCE)
        self._send_keyframe_request = send_keyframe_request

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe of the target layer, or else of the current one, by PLI or FIR.

        At most one in KEYFRAME_INTERVAL_SECONDS and, in the long run, KEYFRAMES_PER_SECOND: what is above that is
        dropped, so callers repeat their request as long as they need the keyframe. No effect without a layer.
        """
        layer = self._target or self.current
        if layer is None or now - self._keyframe_requested_at < KEYFRAME_INTERVAL_SECONDS:
            return
        self._keyframes.renew(now)
        if not self._keyframes.take():
            return
        self._keyframe_requested_at = now
        self._send_keyframe_request(self, layer)

    def receive(self, packet: RtpPacket, now: float) -> Layer | None:
        """Receive a packet with the section's payload type, and forward it if it is of the current layer.

        An unknown SSRC becomes a layer. Returns the layer, or None if the packet was ignored, because there are
        MAX_LAYERS active ones. The caller sends the NACKs that the layer's receiver has due.
        """
        layer = self.layers.get(packet.ssrc) or self._add_layer(packet, now)
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
        """Receive a packet with the section's RTX payload type: two bytes with the original sequence number, then the
        original payload (RFC 4588 section 4)."""
        if len(packet.payload) < RTX_HEADER_SIZE_BYTES:
            # An empty packet is padding, sent to probe the bandwidth.
            return
        sequence = int.from_bytes(packet.payload[:RTX_HEADER_SIZE_BYTES], "big")
        layer = self._rtx_layers.get(packet.ssrc) or self._find_rtx_layer(packet, sequence)
        if layer is None:
            self.ignored_packets += 1
            return
        payload = packet.payload[RTX_HEADER_SIZE_BYTES:]
        layer.octets += len(payload)
        if layer.receiver.repair(sequence):
            self._forward(layer, Arrival.LATE, sequence, packet.marker, packet.timestamp, payload, now)

    def select_layer(self, now: float) -> None:
        """Remove layers that have been silent for FORGET_SECONDS, and choose the target layer. Called a few times a
        second.

        A new target is only requested here. The switch follows with its keyframe, in `receive`.
        """
        for layer in [layer for layer in self.layers.values() if now - layer.last_packet_at > FORGET_SECONDS]:
            if layer is not self.current:
                self._remove_layer(layer)
        for layer in self.layers.values():
            if layer.parameter_sets is not None:
                layer.pixels = layer.parameter_sets.pixels
        best = best_layer(self.layers.values(), current=self.current)
        self._target = None if best is self.current else best
        if self._target is not None:
            self.request_keyframe(now)

    def _forward(
        self, layer: Layer, arrival: Arrival, sequence: int, marker: int, timestamp: int, payload: bytes, now: float
    ) -> None:
        """Forward a packet of the current layer; switch to the packet's layer if it is due. Packets of other layers
        only count for the bitrate."""
        before = self._missing_parameter_sets(layer, arrival, sequence, timestamp, payload)
        output = self.output
        if output is None:
            return
        # A late packet is no start: the packets after it have already been sent.
        can_start = self._can_start(layer, payload) and arrival is not Arrival.LATE
        if layer is not self.current and not (can_start and self._may_switch(layer)):
            output.meter.add_bytes(len(payload))
            return
        if layer is not self.current or arrival is Arrival.RESTARTED:
            self.current, self._target = layer, None
            output.track.switch(sequence=sequence, timestamp=timestamp, now=now)
        sent = output.track.forward(
            sequence=sequence,
            marker=marker,
            timestamp=timestamp,
            payload=payload,
            now=now,
            can_start=can_start,
            before=before,
        )
        if self.plan.kind is MediaKind.VIDEO and sent is not None:
            if before is not None:
                output.meter.add_video(before, sent)
            output.meter.add_video(payload, sent)
        else:
            output.meter.add_bytes(len(payload))

    def _may_switch(self, layer: Layer) -> bool:
        return self.current is None or layer is self._target or self.plan.kind is MediaKind.AUDIO

    def _missing_parameter_sets(
        self, layer: Layer, arrival: Arrival, sequence: int, timestamp: int, payload: bytes
    ) -> bytes | None:
        """Let the layer keep the parameter sets of a packet. Returns what is to be sent before the packet."""
        if layer.parameter_sets is None:
            return None
        missing = layer.parameter_sets.missing_before(payload, timestamp)
        if missing is None or arrival is Arrival.LATE:
            return None
        # A lost packet may hold newer sets. Its retransmission would come first in the stream, and the kept ones, sent
        # behind it, would override it. The decoder then requests another keyframe instead.
        distances = range(1, _PACKETS_BEFORE_KEYFRAME + 1)
        is_behind_gap = any(layer.receiver.is_missing((sequence - distance) & 0xFFFF) for distance in distances)
        return None if is_behind_gap else missing

    def _can_start(self, layer: Layer, payload: bytes) -> bool:
        """Whether a viewer can start at this packet. Updates the layer's frame size from a keyframe of VP8."""
        if self.plan.codec is Codec.VP8:
            size = vp8.keyframe_size(payload)
            if size is not None:
                layer.pixels = size[0] * size[1]
            return vp8.starts_keyframe(payload)
        if self.plan.codec is Codec.H264:
            return h264.starts_keyframe(payload)
        return True

    def _add_layer(self, packet: RtpPacket, now: float) -> Layer | None:
        """Add a layer for a new SSRC. At the limit, the layer that is silent for longest makes way; None if none is."""
        if len(self.layers) >= MAX_LAYERS:
            stalest = min(self.layers.values(), key=lambda layer: layer.last_packet_at)
            if stalest is self.current or now - stalest.last_packet_at < FORGET_SECONDS / 2:
                return None
            self._remove_layer(stalest)
        rid = _extension_string(packet.extension, self.plan.extensions.rid)
        sets = ParameterSets(self.plan.parameter_sets) if self.plan.codec is Codec.H264 else None
        layer = Layer(ssrc=packet.ssrc, clock_rate=self.plan.clock_rate, rid=rid, now=now, parameter_sets=sets)
        self.layers[packet.ssrc] = layer
        return layer

    def _find_rtx_layer(self, packet: RtpPacket, sequence: int) -> Layer | None:
        """The layer that an unknown RTX SSRC repairs.

        In this order: the SDP says so (ssrc-group FID), the packet's repaired-rid extension says so (RFC 8852), or only
        one layer misses the packet.
        """
        layer = self.layers.get(self.plan.rtx_of.get(packet.ssrc, -1))
        rid = _extension_string(packet.extension, self.plan.extensions.repaired_rid)
        if layer is None and rid is not None:
            layer = next((known for known in self.layers.values() if known.rid == rid), None)
        if layer is None and rid is None:
            waiting = [known for known in self.layers.values() if known.receiver.is_missing(sequence)]
            layer = waiting[0] if len(waiting) == 1 else None
        if layer is not None:
            self._remove_rtx_of(layer)
            self._rtx_layers[packet.ssrc] = layer
        return layer

    def _remove_layer(self, layer: Layer) -> None:
        del self.layers[layer.ssrc]
        self._remove_rtx_of(layer)
        if self._target is layer:
            self._target = None

    def _remove_rtx_of(self, layer: Layer) -> None:
        self._rtx_layers = {ssrc: other for ssrc, other in self._rtx_layers.items() if other is not layer}


def _extension_string(extension: bytes, element_id: int | None) -> str | None:
    """The value of a header extension element (RFC 8285) that holds a string, such as a rid."""
    value = extension_value(extension, element_id) if element_id is not None and extension else None
    return value.decode("ascii", "replace") if value else None
