"""A simulcast publisher of VP8 without a network, the video tracks that it feeds, and viewers that record packets."""

from collections.abc import Iterable

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast.layer_tracks import LayerTracks
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from tests.media.rtc.packets import one_byte_extension, vp8_delta, vp8_descriptor, vp8_keyframe
from tests.media.rtc.sfu.fake_viewer import FakeViewer

RID = 5
SIZES = {"low": (320, 180), "mid": (640, 360), "high": (1280, 720)}
FRAME_SECONDS = 1 / 30
PATTERN = ((0, False), (2, True), (1, True), (2, False))
"""The temporal layer of successive frames, and whether they depend on layer 0 alone, as libvpx makes three layers."""


class SentLayer:
    """One layer of a publisher, with its own random numbers."""

    def __init__(self, rid: str, ssrc: int, *, sequence: int, timestamp: int) -> None:
        self.rid = rid
        self.ssrc = ssrc
        self.sequence = sequence
        self.timestamp = timestamp
        self.keyframe_is_due = True
        self.filler_bytes = 0
        self.picture_id = sequence * 3
        self.tl0 = sequence
        self._position = 0

    def next_frame(self, *, is_key: bool) -> None:
        """Begin a frame: a keyframe begins the pattern of temporal layers again."""
        self._position = 0 if is_key else (self._position + 1) % len(PATTERN)
        self.picture_id += 1
        self.tl0 += self.temporal_id == 0

    @property
    def temporal_id(self) -> int:
        """The temporal layer of the current frame."""
        return PATTERN[self._position][0]

    def payload(self, *, is_key: bool, number: int) -> bytes:
        """The payload of a packet of the current frame; the first one has the frame header. It ends with the name of
        the layer."""
        first = vp8_keyframe(*SIZES.get(self.rid, (100, 100))) if is_key else vp8_delta()
        descriptor = vp8_descriptor(
            picture_id=self.picture_id,
            tl0=self.tl0,
            temporal_id=self.temporal_id,
            is_sync=PATTERN[self._position][1],
            starts_frame=not number,
        )
        # Without the start bit, the packet continues the frame.
        return descriptor + (b"\x01" if number else first[1:]) + bytes(self.filler_bytes) + self.rid.encode()


def rid_of(payload: bytes) -> str:
    """The layer of a payload that a viewer received."""
    return next(rid for rid in ("low", "mid", "high", "other", "only") if payload.endswith(rid.encode()))


class Watching(FakeViewer):
    """A viewer of the video."""

    def __init__(self, tracks: LayerTracks, ssrc: int = 5) -> None:
        super().__init__(ssrc)
        self.track = ViewerTrack(
            track=tracks.best, down_track=self.down_track, rtx_ssrc=None, rtx_payload_type=None, rtx_sequence=0
        )

    def received(self) -> list[str]:
        """The layers of the packets that have arrived since the last call."""
        names = [rid_of(packet.payload) for packet in self.packets]
        self.datagrams.clear()
        return names


class LayerScenario:
    """The tracks of a source and its current publisher."""

    def __init__(self, rids: Iterable[str] = SIZES) -> None:
        self.now = 100.0
        self.requested: list[str] = []
        self.answers_requests = True
        """Whether the publisher makes the keyframes that are requested."""
        self.tracks = LayerTracks(self._make_track)
        self._incoming: IncomingTrack | None = None
        self.publish(rids)

    @staticmethod
    def _make_track(encoding_id: str | None, beside: PublishedTrack | None) -> PublishedTrack:
        return PublishedTrack(
            kind=MediaKind.VIDEO,
            codec=Codec.VP8,
            clock_rate=90_000,
            random_bits=lambda _: 7,
            encoding_id=encoding_id,
            beside=beside,
        )

    def publish(self, rids: Iterable[str] = SIZES, *, first: int = 1000) -> None:
        """Let a new publisher take the source over. The numbers of its layers begin at multiples of `first`."""
        if self._incoming is not None:
            self._incoming.detach()
            self.tracks.detach()
        self.sent = {
            rid: SentLayer(rid, first + position, sequence=first * position & 0xFFFF, timestamp=first * 7 * position)
            for position, rid in enumerate(rids, 1)
        }
        plan = TrackPlan(
            section=0,
            kind=MediaKind.VIDEO,
            mid="1",
            protocol="UDP/TLS/RTP/SAVPF",
            codec=Codec.VP8,
            payload_type=96,
            encoding="VP8",
            clock_rate=90_000,
            channels=1,
            parameters="",
            extensions=HeaderExtensions(rid=RID),
            rids=tuple(self.sent),
        )
        self._incoming = IncomingTrack(plan, send_keyframe_request=self._send_keyframe_request)
        self.tracks.feed_from(self.incoming, SourceMeter(codec=Codec.VP8, now=self.now))

    @property
    def incoming(self) -> IncomingTrack:
        """The current publisher's video."""
        assert self._incoming is not None
        return self._incoming

    def _send_keyframe_request(self, _incoming: IncomingTrack, layer: Layer) -> None:
        assert layer.encoding_id is not None
        self.requested.append(layer.encoding_id)
        self.sent[layer.encoding_id].keyframe_is_due |= self.answers_requests

    def watch(self, *, ssrc: int = 5) -> Watching:
        """A viewer whose connection is up."""
        viewer = Watching(self.tracks, ssrc)
        viewer.track.start(self.now)
        return viewer

    def packet(self, rid: str, *, is_key: bool = False, number: int = 0, marker: int = 0) -> RtpPacket:
        """The next packet of a layer, which is not sent."""
        layer = self.sent[rid]
        layer.sequence = (layer.sequence + 1) & 0xFFFF
        payload = layer.payload(is_key=is_key, number=number)
        extension = one_byte_extension({RID: rid.encode()})
        return RtpPacket(96, marker, layer.sequence, layer.timestamp & 0xFFFFFFFF, layer.ssrc, payload, extension)

    def receive(self, packet: RtpPacket) -> None:
        """Let the engine receive a packet."""
        self.incoming.receive(packet, self.now)

    def send_frame(self, *rids: str, packets: int = 2) -> None:
        """Advance the time by a frame, and send one of these layers, by default of all: a keyframe if one is due."""
        self.advance()
        for rid in rids or tuple(self.sent):
            self.send_frame_of(rid, packets=packets)

    def advance(self) -> None:
        """Advance the time by a frame."""
        self.now += FRAME_SECONDS
        for layer in self.sent.values():
            layer.timestamp += 3000

    def send_frame_of(self, rid: str, *, packets: int) -> None:
        """Send a frame of a layer: a keyframe if one is due."""
        layer, is_key = self.sent[rid], self.sent[rid].keyframe_is_due
        layer.keyframe_is_due = False
        layer.next_frame(is_key=is_key)
        for number in range(packets):
            self.receive(self.packet(rid, is_key=is_key, number=number, marker=int(number == packets - 1)))

    def run(self, seconds: float, *rids: str) -> None:
        """Send frames of these layers, by default of all, and run the timers as the forwarder does."""
        for number in range(round(seconds / FRAME_SECONDS)):
            self.send_frame(*rids)
            if number % 7 == 0:
                self.tick()

    def tick(self) -> None:
        """Run the timers."""
        self.incoming.select_layers(self.now)
        self.tracks.end_low_starts(self.now)
