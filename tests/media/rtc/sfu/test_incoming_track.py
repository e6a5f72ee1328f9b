"""One section of a publisher: packets to layers, layers to the source's track, repairs to what they repair."""

import pytest

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.incoming_track import KEYFRAME_INTERVAL_SECONDS, MAX_LAYERS, IncomingTrack, TrackOutput
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast_layers import FORGET_SECONDS, SILENCE_SECONDS, Layer
from tests.media.rtc.packets import one_byte_extension, vp8_delta, vp8_keyframe
from tests.media.rtc.sfu.fake_viewer import FakeViewer

RID, REPAIRED_RID = 5, 6
SMALL, LARGE = vp8_keyframe(320, 180), vp8_keyframe(1280, 720)


class Bench:
    """An incoming track that feeds a source's track with one viewer."""

    def __init__(self, *, kind: MediaKind = MediaKind.VIDEO, rtx_of: dict[int, int] | None = None) -> None:
        self.asked: list[int] = []
        self.now = 0.0
        codec = Codec.VP8 if kind is MediaKind.VIDEO else Codec.OPUS
        self.incoming = IncomingTrack(_plan(kind, codec, rtx_of or {}), send_keyframe_request=self._ask)
        track = PublishedTrack(kind=kind, codec=codec, clock_rate=90_000, random_bits=lambda _: 0)
        track.requester = self.incoming
        self.incoming.output = TrackOutput(track, SourceMeter(codec=Codec.VP8, now=0.0))
        self.viewer = FakeViewer()
        track.add(self.viewer.down_track, 0.0)

    def _ask(self, _incoming: IncomingTrack, layer: Layer) -> None:
        self.asked.append(layer.ssrc)

    def send(self, ssrc: int, sequence: int, payload: bytes, *, rid: str | None = None) -> None:
        """Bring a packet of a layer."""
        extension = one_byte_extension({RID: rid.encode()}) if rid else b""
        self.incoming.receive(RtpPacket(96, 0, sequence, sequence * 100, ssrc, payload, extension), self.now)

    def repair(self, ssrc: int, original: int, payload: bytes, *, rid: str | None = None) -> None:
        """Bring a packet of an RTX stream."""
        extension = one_byte_extension({REPAIRED_RID: rid.encode()}) if rid else b""
        body = original.to_bytes(2, "big") + payload
        self.incoming.receive_rtx(RtpPacket(97, 0, 1, 0, ssrc, body, extension), self.now)

    @property
    def seen(self) -> list[bytes]:
        """The payloads that the viewer got."""
        return [packet.payload for packet in self.viewer.packets]


def _plan(kind: MediaKind, codec: Codec, rtx_of: dict[int, int]) -> TrackPlan:
    return TrackPlan(
        section=0,
        kind=kind,
        mid="0",
        protocol="UDP/TLS/RTP/SAVPF",
        codec=codec,
        payload_type=96,
        encoding=codec,
        clock_rate=90_000,
        channels=1,
        parameters="",
        rtx_payload_type=97,
        extensions=HeaderExtensions(rid=RID, repaired_rid=REPAIRED_RID),
        rtx_of=rtx_of,
    )


def test_video_begins_with_a_keyframe() -> None:
    bench = Bench()
    bench.send(1, 1, vp8_delta())
    bench.send(1, 2, SMALL)
    bench.send(1, 3, vp8_delta())
    assert bench.seen == [SMALL, vp8_delta()]


def test_without_a_keyframe_one_is_asked_for_again_and_again_but_not_more_often() -> None:
    bench = Bench()
    for step in range(10):
        bench.now = step * KEYFRAME_INTERVAL_SECONDS * 0.6
        bench.send(1, step, vp8_delta())
        bench.incoming.select_layer(bench.now)
    assert bench.asked == [1] * 5


def test_a_better_layer_is_taken_at_its_keyframe_and_not_before() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.send(2, 1, LARGE)
    bench.incoming.select_layer(1.0)
    assert bench.asked == [2]
    bench.send(2, 2, vp8_delta())
    bench.send(1, 2, vp8_delta())
    bench.send(2, 3, LARGE)
    bench.send(1, 3, vp8_delta())
    assert bench.seen == [SMALL, vp8_delta(), LARGE]
    assert bench.incoming.current is bench.incoming.layers[2]


def test_a_keyframe_of_a_layer_that_is_not_wanted_changes_nothing() -> None:
    bench = Bench()
    bench.send(2, 1, LARGE)
    bench.send(1, 1, SMALL)
    bench.incoming.select_layer(1.0)
    bench.send(1, 2, SMALL)
    assert bench.seen == [LARGE]
    assert bench.asked == []


def test_sound_of_a_new_ssrc_is_taken_at_once() -> None:
    bench = Bench(kind=MediaKind.AUDIO)
    bench.send(1, 1, b"one")
    bench.send(2, 900, b"two")
    assert bench.seen == [b"one", b"two"]


def test_a_sender_that_starts_over_with_a_new_ssrc_is_followed() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.now += SILENCE_SECONDS
    bench.send(2, 1, vp8_delta())
    bench.incoming.select_layer(bench.now)
    bench.send(2, 2, SMALL)
    assert bench.asked == [2]
    assert bench.seen == [SMALL, SMALL]


def test_a_sender_that_starts_over_with_new_numbers_is_followed() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.send(1, 30_000, LARGE)
    bench.send(1, 30_001, LARGE)
    assert [(packet.sequence, packet.payload) for packet in bench.viewer.packets] == [(0, SMALL), (1, LARGE)]


def test_more_ssrcs_than_any_sender_needs_are_ignored_until_old_ones_fall_silent() -> None:
    bench = Bench()
    for ssrc in range(MAX_LAYERS + 1):
        bench.send(ssrc, 1, SMALL)
    assert MAX_LAYERS not in bench.incoming.layers
    assert bench.incoming.ignored_packets == 1
    bench.now += FORGET_SECONDS
    bench.send(0, 2, SMALL)
    bench.send(MAX_LAYERS, 1, SMALL)
    assert MAX_LAYERS in bench.incoming.layers
    assert len(bench.incoming.layers) == MAX_LAYERS


def test_silent_layers_are_forgotten_but_never_the_current_one() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.send(2, 1, vp8_delta())
    bench.incoming.select_layer(FORGET_SECONDS + 1)
    assert list(bench.incoming.layers) == [1]


@pytest.mark.parametrize("way", ["signalled", "by its rid", "by what is missing"])
def test_a_repair_finds_its_layer(way: str) -> None:
    bench = Bench(rtx_of={20: 2} if way == "signalled" else None)
    for ssrc, rid in ((1, "l"), (2, "h")):
        bench.send(ssrc, 1, SMALL if ssrc == 1 else LARGE, rid=rid)
    bench.send(2, 3, vp8_delta())
    bench.send(1, 2, vp8_delta())
    if way != "by what is missing":
        bench.send(1, 4, vp8_delta())
        bench.send(1, 6, vp8_delta())
        # Both layers miss a packet of this number, so only the name tells.
        bench.send(2, 6, vp8_delta())
    bench.repair(20, 2, b"lost", rid="h" if way == "by its rid" else None)
    assert not bench.incoming.layers[2].receiver.is_missing(2)
    assert bench.incoming.layers[2].receiver.recovered_packets == 1
    assert bench.incoming.layers[1].receiver.recovered_packets == 0


def test_a_repair_of_nobody_knows_what_is_ignored() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.repair(20, 1, b"again")
    bench.repair(20, 1, b"")
    assert bench.incoming.ignored_packets == 2
    assert bench.seen == [SMALL]


def test_a_probe_of_the_bandwidth_is_no_repair() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.incoming.receive_rtx(RtpPacket(97, 0, 1, 0, 20, b"", b""), 0.0)
    assert bench.incoming.ignored_packets == 0


def test_a_publisher_that_lost_its_source_feeds_nobody() -> None:
    bench = Bench()
    bench.send(1, 1, SMALL)
    bench.incoming.output = None
    bench.send(1, 2, SMALL)
    assert bench.seen == [SMALL]
