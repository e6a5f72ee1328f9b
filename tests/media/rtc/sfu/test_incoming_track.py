"""A publisher's media section: packets to layers, the choice of the forwarded layer, and RTX packets to their layer."""

import pytest

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.incoming_track import MAX_LAYERS, IncomingTrack
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast.keyframe_requests import KEYFRAME_INTERVAL_SECONDS, MAX_KEYFRAMES_AT_ONCE
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import FORGET_SECONDS, SILENCE_SECONDS, Layer
from stagebook.media.rtc.sfu.simulcast.stream_identity import MAX_KNOWN_RIDS
from tests.media.rtc.packets import one_byte_extension, vp8_delta, vp8_keyframe
from tests.media.rtc.sfu.fake_viewer import FakeViewer

RID, REPAIRED_RID = 5, 6
SMALL, LARGE = vp8_keyframe(320, 180), vp8_keyframe(1280, 720)


class Scenario:
    """An incoming track that forwards to a track with one viewer."""

    def __init__(self, *, kind: MediaKind = MediaKind.VIDEO, rtx_of: dict[int, int] | None = None) -> None:
        self.requested: list[int] = []
        self.now = 0.0
        codec = Codec.VP8 if kind is MediaKind.VIDEO else Codec.OPUS
        self.incoming = IncomingTrack(
            _plan(kind, codec, rtx_of or {}), send_keyframe_request=self._send_keyframe_request
        )
        track = PublishedTrack(kind=kind, codec=codec, clock_rate=90_000, random_bits=lambda _: 0)
        self.incoming.feed([track], SourceMeter(codec=Codec.VP8, now=0.0))
        self.viewer = FakeViewer()
        track.add(self.viewer.down_track, 0.0)

    def _send_keyframe_request(self, _incoming: IncomingTrack, layer: Layer) -> None:
        self.requested.append(layer.ssrc)

    def send(self, ssrc: int, sequence: int, payload: bytes, *, rid: str | None = None) -> None:
        """Receive a packet of a layer."""
        extension = one_byte_extension({RID: rid.encode()}) if rid else b""
        self.incoming.receive(RtpPacket(96, 0, sequence, sequence * 100, ssrc, payload, extension), self.now)

    def repair(self, ssrc: int, original: int, payload: bytes, *, rid: str | None = None) -> None:
        """Receive a packet of an RTX stream."""
        extension = one_byte_extension({REPAIRED_RID: rid.encode()}) if rid else b""
        body = original.to_bytes(2, "big") + payload
        self.incoming.receive_rtx(RtpPacket(97, 0, 1, 0, ssrc, body, extension), self.now)

    @property
    def received(self) -> list[bytes]:
        """The payloads that the viewer received."""
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


def test_video_starts_with_a_keyframe() -> None:
    scenario = Scenario()
    scenario.send(1, 1, vp8_delta())
    scenario.send(1, 2, SMALL)
    scenario.send(1, 3, vp8_delta())
    assert scenario.received == [SMALL, vp8_delta()]


def test_keyframe_requests_are_repeated_and_throttled() -> None:
    scenario = Scenario()
    for step in range(10):
        scenario.now = step * KEYFRAME_INTERVAL_SECONDS * 0.6
        scenario.send(1, step, vp8_delta())
        scenario.incoming.select_layers(scenario.now)
    assert scenario.requested == [1] * 5


def test_keyframe_requests_have_a_rate_in_the_long_run() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    for step in range(1_000):
        scenario.incoming.request_keyframe(scenario.incoming.layers[1], step * 0.1)
    assert len(scenario.requested) == MAX_KEYFRAMES_AT_ONCE + 100 - 1


def test_a_switch_to_a_better_layer_waits_for_its_keyframe() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.send(2, 1, LARGE)
    scenario.incoming.select_layers(1.0)
    assert scenario.requested == [2]
    scenario.send(2, 2, vp8_delta())
    scenario.send(1, 2, vp8_delta())
    scenario.send(2, 3, LARGE)
    scenario.send(1, 3, vp8_delta())
    assert scenario.received == [SMALL, vp8_delta(), LARGE]
    assert scenario.incoming.current is scenario.incoming.layers[2]


def test_a_keyframe_of_a_layer_that_is_not_the_target_causes_no_switch() -> None:
    scenario = Scenario()
    scenario.send(2, 1, LARGE)
    scenario.send(1, 1, SMALL)
    scenario.incoming.select_layers(1.0)
    scenario.send(1, 2, SMALL)
    assert scenario.received == [LARGE]
    assert scenario.requested == []


def test_audio_of_a_new_ssrc_is_forwarded_at_once() -> None:
    scenario = Scenario(kind=MediaKind.AUDIO)
    scenario.send(1, 1, b"one")
    scenario.send(2, 900, b"two")
    assert scenario.received == [b"one", b"two"]


def test_a_sender_that_restarts_with_a_new_ssrc_is_followed() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.now += SILENCE_SECONDS
    scenario.send(2, 1, vp8_delta())
    scenario.incoming.select_layers(scenario.now)
    scenario.send(2, 2, SMALL)
    assert scenario.requested == [2]
    assert scenario.received == [SMALL, SMALL]


def test_a_sender_that_restarts_with_new_sequence_numbers_is_followed() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.send(1, 30_000, LARGE)
    scenario.send(1, 30_001, LARGE)
    assert [(packet.sequence, packet.payload) for packet in scenario.viewer.packets] == [(0, SMALL), (1, LARGE)]


def test_ssrcs_beyond_the_limit_are_ignored_until_old_ones_are_silent() -> None:
    scenario = Scenario()
    for ssrc in range(MAX_LAYERS + 1):
        scenario.send(ssrc, 1, SMALL)
    assert MAX_LAYERS not in scenario.incoming.layers
    assert scenario.incoming.ignored_packets == 1
    scenario.now += FORGET_SECONDS
    scenario.send(0, 2, SMALL)
    scenario.send(MAX_LAYERS, 1, SMALL)
    assert MAX_LAYERS in scenario.incoming.layers
    assert len(scenario.incoming.layers) == MAX_LAYERS


def test_silent_layers_are_removed_except_the_current_one() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.send(2, 1, vp8_delta())
    scenario.incoming.select_layers(FORGET_SECONDS + 1)
    assert list(scenario.incoming.layers) == [1]


def test_a_layer_that_resumes_without_its_rid_is_the_same_layer() -> None:
    scenario = Scenario()
    for ssrc, rid in ((1, "l"), (2, "h")):
        scenario.send(ssrc, 1, SMALL, rid=rid)
    scenario.incoming.select_layers(FORGET_SECONDS + 1)
    assert 2 not in scenario.incoming.layers
    scenario.send(2, 2, LARGE)
    assert scenario.incoming.layers[2].rid == "h"


def test_the_kept_rids_are_bounded() -> None:
    scenario = Scenario()
    for ssrc in range(MAX_KNOWN_RIDS + 2):
        scenario.send(ssrc, 1, SMALL, rid=str(ssrc))
        scenario.now += FORGET_SECONDS + 1
        scenario.incoming.select_layers(scenario.now)
    for ssrc in (1, 2):  # the layer of the first SSRC is followed, and so not removed
        scenario.send(ssrc, 2, SMALL)
    assert [scenario.incoming.layers[ssrc].rid for ssrc in (1, 2)] == [None, "2"]


@pytest.mark.parametrize("found_by", ["SDP", "repaired-rid", "missing packet"])
def test_an_rtx_stream_is_assigned_to_its_layer(found_by: str) -> None:
    scenario = Scenario(rtx_of={20: 2} if found_by == "SDP" else None)
    for ssrc, rid in ((1, "l"), (2, "h")):
        scenario.send(ssrc, 1, SMALL if ssrc == 1 else LARGE, rid=rid)
    scenario.send(2, 3, vp8_delta())
    scenario.send(1, 2, vp8_delta())
    if found_by != "missing packet":
        scenario.send(1, 4, vp8_delta())
        scenario.send(1, 6, vp8_delta())
        # Both layers miss a packet with this number, so the number does not identify the layer.
        scenario.send(2, 6, vp8_delta())
    scenario.repair(20, 2, b"lost", rid="h" if found_by == "repaired-rid" else None)
    assert not scenario.incoming.layers[2].receiver.is_missing(2)
    assert scenario.incoming.layers[2].receiver.missing.recovered == 1
    assert scenario.incoming.layers[1].receiver.missing.recovered == 0


def test_an_rtx_packet_of_an_unknown_layer_is_ignored() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.repair(20, 1, b"again")
    scenario.repair(20, 1, b"")
    assert scenario.incoming.ignored_packets == 2
    assert scenario.received == [SMALL]


def test_an_empty_rtx_packet_is_padding_and_not_counted() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.incoming.receive_rtx(RtpPacket(97, 0, 1, 0, 20, b"", b""), 0.0)
    assert scenario.incoming.ignored_packets == 0


def test_a_publisher_that_does_not_feed_its_source_is_not_forwarded() -> None:
    scenario = Scenario()
    scenario.send(1, 1, SMALL)
    scenario.incoming.detach()
    scenario.send(1, 2, SMALL)
    assert scenario.received == [SMALL]
