"""The names of layers, and the layers of RTX streams. `test_incoming_track` has them with packets of a publisher."""

import pytest

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.path_timing import PathTiming
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer
from stagebook.media.rtc.sfu.simulcast.stream_identity import StreamIdentity


def plan(*, rids: tuple[str, ...] = (), ssrcs: tuple[int, ...] = ()) -> TrackPlan:
    """A section of video with these layers."""
    return TrackPlan(
        section=0,
        kind=MediaKind.VIDEO,
        mid="0",
        protocol="UDP/TLS/RTP/SAVPF",
        codec=Codec.VP8,
        payload_type=96,
        encoding="VP8",
        clock_rate=90_000,
        channels=1,
        parameters="",
        rtx_payload_type=97,
        rids=rids,
        ssrcs=ssrcs,
    )


@pytest.mark.parametrize(
    ("rids", "ssrcs", "ssrc", "rid", "name"),
    [
        (("l", "h"), (), 7, "h", "h"),
        (("l", "h"), (), 7, "x", None),
        (("l", "h"), (), 7, None, None),
        ((), (5, 6), 6, None, "1"),
        ((), (5, 6), 7, None, None),
        ((), (5,), 5, None, None),
    ],
)
def test_a_layer_is_named_by_its_rid_or_its_place_in_the_offer(
    rids: tuple[str, ...], ssrcs: tuple[int, ...], ssrc: int, rid: str | None, name: str | None
) -> None:
    assert StreamIdentity(plan(rids=rids, ssrcs=ssrcs)).encoding_id(ssrc, rid) == name


def test_a_layer_has_one_rtx_stream_until_it_is_gone() -> None:
    identity, timing = StreamIdentity(plan()), PathTiming()
    layers = {ssrc: Layer(ssrc=ssrc, clock_rate=90_000, rid=None, now=0.0, timing=timing) for ssrc in (1, 2)}
    for sequence in (1, 3):
        layers[2].receiver.receive(sequence=sequence, timestamp=0, now=0.0)
    rtx = RtpPacket(97, 0, 1, 0, 20, b"", b"")
    assert identity.repaired_layer(rtx, 9, layers) is None
    assert identity.repaired_layer(rtx, 2, layers) is layers[2]
    assert identity.repaired_layer(rtx, 9, layers) is layers[2]
    identity.forget_rtx_of(layers[2])
    assert identity.repaired_layer(rtx, 9, layers) is None
