"""One accepted media section of a publisher's offer: its layers, and which of them are forwarded.

Packets are assigned to layers by SSRC. The section feeds one track of the source or, if viewers have chosen layers,
several. For each of them a `LayerSelection` says which layer it follows.

A keyframe of H.264 that comes without its parameter sets gets them inserted (`h264_parameter_sets`).

Retransmissions come as a stream of their own with its own SSRC and payload type (RTX, RFC 4588); each is unpacked and
treated as the late arrival of the original packet. Audio may repeat its frames in later packets (RED, RFC 2198): the
section is then received as if it came without, and a repeated frame whose packet is missing is its late arrival.
"""

from collections.abc import Callable, Iterable

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.codecs.h264_parameter_sets import ParameterSets
from stagebook.media.rtc.rtp.path_timing import PathTiming
from stagebook.media.rtc.rtp.red_payload import unpack_red
from stagebook.media.rtc.rtp.rtp_packet import RTX_HEADER_SIZE_BYTES, RtpPacket
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.rtp.stream_receiver import Arrival
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast.keyframe_requests import KeyframeRequests
from stagebook.media.rtc.sfu.simulcast.layer_selection import LayerSelection
from stagebook.media.rtc.sfu.simulcast.picture_layers import ANY_START, PictureLayer, PictureLayerReader
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import FORGET_SECONDS, Layer
from stagebook.media.rtc.sfu.simulcast.stream_identity import StreamIdentity
from stagebook.media.rtc.sfu.source_track import SourceTrack

_PACKETS_BEFORE_KEYFRAME = 4
"""The packets just before a keyframe's first slice that may hold its parameter sets: delimiter, SPS, PPS and SEI."""
MAX_LAYERS = 6
"""Three simulcast layers, and three more for a sender that restarts with new SSRCs."""
SIZE_SECONDS = 2.0
MAX_SIZE_REQUESTS = 3
"""When a keyframe is requested of a simulcast layer whose size is unknown, and how often at most."""

# Looking up a member of an Enum class takes 0.2 us in Python 3.11. This code runs for each packet.
_NEWEST, _LATE, _DISCARDED, _RESTARTED = Arrival.NEWEST, Arrival.LATE, Arrival.DISCARDED, Arrival.RESTARTED


class IncomingTrack:
    """The receiving end of one media section."""

    def __init__(
        self,
        plan: TrackPlan,
        *,
        send_keyframe_request: Callable[["IncomingTrack", Layer], None],
        timing: PathTiming | None = None,
    ) -> None:
        """`send_keyframe_request` sends a PLI or FIR for a layer to the publisher. `timing` is that of its path."""
        self.plan = plan
        self._timing = timing or PathTiming()
        self.layers: dict[int, Layer] = {}
        """By media SSRC."""
        self.selections: tuple[LayerSelection, ...] = ()
        """For each track that the section feeds, that of the best layer last. Empty while the publisher is not the one
        that feeds its source."""
        self.ignored_packets = 0
        """Packets of an SSRC beyond MAX_LAYERS, and retransmissions of an unknown layer."""
        self._is_audio = plan.kind is MediaKind.AUDIO
        self._meter: SourceMeter | None = None
        """The meter of the source."""
        self._identity = StreamIdentity(plan)
        self._keyframes = KeyframeRequests(lambda layer: send_keyframe_request(self, layer))

    @property
    def rids(self) -> dict[int, str]:
        """RIDs by media SSRC, those of removed layers included."""
        return self._identity.rids

    # The tracks of the source

    def feed(self, tracks: Iterable[PublishedTrack], meter: SourceMeter) -> None:
        """Feed these tracks of the source from now on; the last one is that of the best layer."""
        self._meter = meter
        self.selections = tuple(self._selection(track) for track in tracks)

    def detach(self) -> None:
        """Feed no track any more."""
        for selection in self.selections:
            selection.track.requester = None
        self.selections, self._meter = (), None

    def add_selection(self, track: PublishedTrack, now: float) -> None:
        """Feed one more track, of a layer that a viewer has chosen."""
        selection = self._selection(track)
        self.selections = (selection, *self.selections)
        selection.choose(self.layers.values())
        selection.request_keyframe(now)

    def remove_selection(self, track: PublishedTrack) -> None:
        """Feed a track no longer, because it has no viewers."""
        track.requester = None
        self.selections = tuple(each for each in self.selections if each.track is not track)

    def followed_by(self, track: SourceTrack) -> Layer | None:
        """The layer that a track of the source follows; None if the section does not feed it."""
        return next((each.current for each in self.selections if each.track is track), None)

    def wanted_by(self, track: SourceTrack) -> Layer | None:
        """The layer that a track of the source follows or will follow from its next keyframe on."""
        return next((each.target or each.current for each in self.selections if each.track is track), None)

    def is_followed(self, layer: Layer) -> bool:
        """Whether a track of the source follows the layer."""
        return any(layer is each.current for each in self.selections)

    @property
    def current(self) -> Layer | None:
        """The layer that the track of the best layer follows."""
        return self.selections[-1].current if self.selections else None

    def _selection(self, track: PublishedTrack) -> LayerSelection:
        selection = LayerSelection(track, request_keyframe=self.request_keyframe)
        track.requester = selection
        return selection

    def request_keyframe(self, layer: Layer, now: float) -> None:
        """Request a keyframe of a layer by PLI or FIR, within the budget of `KeyframeRequests`. Callers repeat their
        request as long as they need the keyframe."""
        self._keyframes.request(layer, self.layers.values(), now)

    def change_path(self, now: float) -> None:
        """Request a keyframe of the layers that are forwarded: packets and requests were lost on the publisher's former
        path."""
        self._keyframes.forget_last()
        for layer in self.layers.values():
            if self.is_followed(layer):
                self.request_keyframe(layer, now)

    # Packets

    def receive(self, packet: RtpPacket, now: float) -> Layer | None:
        """Receive a packet with the section's payload type or that of its RED, and forward it if its layer is followed.

        An unknown SSRC becomes a layer. Returns the layer, or None if the packet was ignored, because there are
        MAX_LAYERS active ones. The caller sends the NACKs that the layer's receiver has due.
        """
        if packet.payload_type == self.plan.red_payload_type:
            return self._receive_red(packet, now)
        layer = self.layers.get(packet.ssrc) or self._add_layer(packet, now)
        if layer is None:
            self.ignored_packets += 1
            return None
        arrival = layer.receiver.receive(sequence=packet.sequence, timestamp=packet.timestamp, now=now)
        layer.last_packet_at = now
        layer.octets += len(packet.payload)
        layer.frames += packet.marker
        if arrival is _DISCARDED:
            return layer
        if arrival is _NEWEST:
            layer.queue.add_packet(timestamp=packet.timestamp, now=now)
        self._forward(layer, arrival, packet.sequence, packet.marker, packet.timestamp, packet.payload, now)
        return layer

    def _receive_red(self, packet: RtpPacket, now: float) -> Layer | None:
        audio = unpack_red(packet.payload, self.plan.payload_type)
        if audio is None:
            self.ignored_packets += 1
            return None
        layer = self.receive(packet._replace(payload_type=self.plan.payload_type, payload=audio.payload), now)
        if layer is None:
            return None
        for frame in audio.repeated:
            sequence = (packet.sequence - frame.packets_before) & 0xFFFF
            if layer.receiver.repair(sequence, now):
                timestamp = (packet.timestamp - frame.timestamp_offset) & 0xFFFFFFFF
                self._forward(layer, _LATE, sequence, 0, timestamp, frame.payload, now)
        return layer

    def receive_rtx(self, packet: RtpPacket, now: float) -> None:
        """Receive a packet with the section's RTX payload type: two bytes with the original sequence number, then the
        original payload (RFC 4588 section 4)."""
        if len(packet.payload) < RTX_HEADER_SIZE_BYTES:
            # An empty packet is padding, sent to probe the bandwidth.
            return
        sequence = int.from_bytes(packet.payload[:RTX_HEADER_SIZE_BYTES], "big")
        layer = self._identity.repaired_layer(packet, sequence, self.layers)
        if layer is None:
            self.ignored_packets += 1
            return
        payload = packet.payload[RTX_HEADER_SIZE_BYTES:]
        layer.octets += len(payload)
        if layer.receiver.repair(sequence, now):
            self._forward(layer, _LATE, sequence, packet.marker, packet.timestamp, payload, now)

    def select_layers(self, now: float) -> None:
        """Remove layers that have been silent for FORGET_SECONDS, and choose the target layers. Called a few times a
        second.

        A new target is only requested here. The switch follows with its keyframe, in `receive`.
        """
        for layer in [layer for layer in self.layers.values() if now - layer.last_packet_at > FORGET_SECONDS]:
            if not self.is_followed(layer):
                self._remove_layer(layer)
        for layer in self.layers.values():
            layer.meter.end_interval(now)
            if layer.parameter_sets is not None:
                layer.size = layer.parameter_sets.size
            if not layer.pixels and self.selections and len(self.plan.encoding_ids) > 1:
                self._ask_for_size(layer, now)
        for selection in self.selections:
            selection.choose(self.layers.values())
            if selection.target is not None:
                selection.request_keyframe(now)

    def _ask_for_size(self, layer: Layer, now: float) -> None:
        """Request a keyframe, which tells the size, of a layer whose first one was lost or came before this engine
        received the layer. Of unknown size, it would never be the best one."""
        if layer.size_requests < MAX_SIZE_REQUESTS and now - layer.size_requested_at >= SIZE_SECONDS:
            layer.size_requests += 1
            layer.size_requested_at = now
            self.request_keyframe(layer, now)

    def _forward(
        self, layer: Layer, arrival: Arrival, sequence: int, marker: int, timestamp: int, payload: bytes, now: float
    ) -> None:
        """Forward a packet to the tracks that follow its layer, and let those follow it that were to switch to it.

        Packets that the track of the best layer does not get count for the bitrate alone.
        """
        before = None
        if layer.parameter_sets is not None:
            before = self._missing_parameter_sets(layer, layer.parameter_sets, arrival, sequence, timestamp, payload)
        meter = self._meter
        if meter is None:
            return
        # A late packet is no start: the packets after it have already been sent.
        is_late = arrival is _LATE
        picture = self._read_picture(layer, sequence, marker, timestamp, payload, is_late=is_late)
        can_start = picture.starts_keyframe and not is_late
        sent = None
        for selection in self.selections:
            if layer is not selection.current:
                if not (can_start and selection.may_switch_to(layer)):
                    sent = None
                    continue
                selection.switch_to(layer)
                selection.track.switch(sequence=sequence, timestamp=timestamp, now=now)
            elif arrival is _RESTARTED:
                selection.track.switch(sequence=sequence, timestamp=timestamp, now=now)
            sent = selection.track.forward(
                sequence=sequence,
                marker=marker,
                timestamp=timestamp,
                payload=payload,
                now=now,
                layer=picture,
                is_late=is_late,
                before=before,
            )
        # `sent` is now that of the best layer's track, which is the last one.
        if sent is None or self._is_audio:
            meter.add_bytes(len(payload))
            return
        if before is not None:
            meter.add_video(before, sent)
        meter.add_video(payload, sent)

    def _missing_parameter_sets(
        self, layer: Layer, sets: ParameterSets, arrival: Arrival, sequence: int, timestamp: int, payload: bytes
    ) -> bytes | None:
        """Let the layer keep the parameter sets of a packet. Returns what is to be sent before the packet."""
        missing = sets.missing_before(payload, timestamp)
        if missing is None or arrival is _LATE:
            return None
        # A lost packet may hold newer sets. Its retransmission would come first in the stream, and the kept ones, sent
        # behind it, would override it. The decoder then requests another keyframe instead.
        distances = range(1, _PACKETS_BEFORE_KEYFRAME + 1)
        is_behind_gap = any(layer.receiver.is_missing((sequence - distance) & 0xFFFF) for distance in distances)
        return None if is_behind_gap else missing

    def _read_picture(
        self, layer: Layer, sequence: int, marker: int, timestamp: int, payload: bytes, *, is_late: bool
    ) -> PictureLayer:
        """Say where a viewer can start. Updates what is measured of the layer."""
        if layer.pictures is None:
            layer.meter.add(len(payload), temporal_id=0, ends_frame=True)
            return ANY_START
        picture = layer.pictures.read(sequence=sequence, timestamp=timestamp, payload=payload, is_late=is_late)
        layer.meter.add(len(payload), temporal_id=picture.temporal_id, ends_frame=bool(marker))
        if picture.starts_keyframe:
            layer.wants_keyframe = False
            if picture.vp8 is not None and any(layer.pictures.keyframe_size):
                layer.size = layer.pictures.keyframe_size
        return picture

    def _add_layer(self, packet: RtpPacket, now: float) -> Layer | None:
        """Add a layer for a new SSRC. At the limit, the layer that is silent for longest makes way; None if none is."""
        if len(self.layers) >= MAX_LAYERS:
            stalest = min(self.layers.values(), key=lambda layer: layer.last_packet_at)
            if self.is_followed(stalest) or now - stalest.last_packet_at < FORGET_SECONDS / 2:
                return None
            self._remove_layer(stalest)
        rid = self._identity.rid(packet)
        sets = ParameterSets(self.plan.parameter_sets) if self.plan.codec is Codec.H264 else None
        layer = Layer(
            ssrc=packet.ssrc,
            clock_rate=self.plan.clock_rate,
            rid=rid,
            encoding_id=self._identity.encoding_id(packet.ssrc, rid),
            now=now,
            parameter_sets=sets,
            pictures=None if self._is_audio else PictureLayerReader(self.plan.codec),
            timing=self._timing,
            has_rtx=self.plan.rtx_payload_type is not None,
        )
        self.layers[packet.ssrc] = layer
        return layer

    def _remove_layer(self, layer: Layer) -> None:
        del self.layers[layer.ssrc]
        self._identity.forget_rtx_of(layer)
        for selection in self.selections:
            if selection.target is layer:
                selection.target = None
