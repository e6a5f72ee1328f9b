"""A publisher that offers several video codecs: the one that arrives is forwarded."""

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.port import CloseCause, Closed, Connected, SourceMeasured
from tests.media.rtc.packets import rtp, vp8_keyframe
from tests.media.rtc.raw_peer import VIDEO_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, wait_until

H264, VP8 = VIDEO_PAYLOAD_TYPE, 98
H264_KEYFRAME = b"\x65\x88\x80" + bytes(20)


def offer_both(peer: RawPeer) -> str:
    """Return the offer of a publisher that lists H.264, as payload type 96, and VP8, as 98."""
    offer = peer.offer("sendonly", codec="H264", extra_video=(f"a=rtpmap:{VP8} VP8/90000", f"a=rtcp-fb:{VP8} nack pli"))
    return offer.replace("SAVPF 96 97", f"SAVPF 96 97 {VP8}")


async def connect(engine: RunningEngine) -> RawPeer:
    peer = engine.raw_peer()
    answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=offer_both(peer))
    assert f"m=video 9 UDP/TLS/RTP/SAVPF 96 97 {VP8}\r\n" in answer.sdp
    await peer.connect(answer.sdp, engine.forwarder.udp_port)
    await engine.wait_for(Connected(connection_id="p"))
    return peer


def measured_codecs(engine: RunningEngine) -> set[str | None]:
    return {fact.video_codec for fact in engine.facts if isinstance(fact, SourceMeasured)}


async def test_a_publisher_whose_track_is_vp8_gets_through_although_it_offers_h264_as_well() -> None:
    async with running_engine() as engine:
        publisher = await connect(engine)
        # Before the first packet the source has the preferred codec. A viewer that came so early has to come again.
        await engine.viewer("early", codec="H264")
        await engine.wait_for(Connected(connection_id="early"))
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, ssrc=SSRC, payload_type=VP8))
        await engine.wait_for(Closed(connection_id="early", cause=CloseCause.SOURCE_CHANGED))
        viewer = await engine.viewer(codec="VP8")
        await engine.wait_for(Connected(connection_id="v"))
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=11, timestamp=3000, ssrc=SSRC, payload_type=VP8))
        packet = await viewer.receive_rtp()
        assert packet.payload == vp8_keyframe()
        await wait_until(lambda: Codec.VP8 in measured_codecs(engine), "a measurement with VP8")


async def test_a_publisher_that_sends_the_first_codec_keeps_its_viewers_whatever_else_it_sends() -> None:
    async with running_engine() as engine:
        publisher = await connect(engine)
        viewer = await engine.viewer(codec="H264")
        await engine.wait_for(Connected(connection_id="v"))
        for sequence in range(10, 20):
            await publisher.send_rtp(rtp(H264_KEYFRAME, sequence=sequence, ssrc=SSRC, payload_type=H264))
            await publisher.send_rtp(rtp(vp8_keyframe(), sequence=sequence, ssrc=SSRC + 1, payload_type=VP8))
        received = [await viewer.receive_rtp() for _ in range(10)]
        assert {packet.payload for packet in received} == {H264_KEYFRAME}
        assert not any(isinstance(fact, Closed) for fact in engine.facts)


async def test_a_publisher_that_stops_one_codec_may_go_on_with_another_one() -> None:
    async with running_engine() as engine:
        publisher = await connect(engine)
        await engine.viewer(codec="H264")
        await engine.wait_for(Connected(connection_id="v"))
        await publisher.send_rtp(rtp(H264_KEYFRAME, sequence=10, ssrc=SSRC, payload_type=H264))
        await wait_until(lambda: Codec.H264 in measured_codecs(engine), "a measurement with H.264")
        engine.skipped_seconds += 3
        # A packet of padding only, which probes the bandwidth, changes nothing.
        await publisher.send_rtp(rtp(b"", sequence=1, ssrc=SSRC, payload_type=VP8))
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=11, ssrc=SSRC, payload_type=VP8))
        await engine.wait_for(Closed(connection_id="v", cause=CloseCause.SOURCE_CHANGED))
        await wait_until(lambda: Codec.VP8 in measured_codecs(engine), "a measurement with VP8")
