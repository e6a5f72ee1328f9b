"""A WebRTC publisher's media through two engines: packets, keyframe requests, layers, takeovers and the end."""

from typing import cast

import pytest

from stagebook.media.port import CloseCause, Closed, Connected, LayerChoice, MediaRefusedError, RefusalReason
from stagebook.media.rtc.rtp.rtcp import EstimatedMaximum, KeyframeRequest, Nack, SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_nack, write_pli, write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.simulcast.layer_allocation import LayerAllocation
from tests.media.rtc.feed_client import FeedClient
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import SSRC, wait_until
from tests.media.rtc.sfu.relay.relayed_engines import relayed_engines
from tests.media.rtc.sfu.test_forwarder_layers import HIGH, LOW, start


async def start_video(publisher: RawPeer, viewer: RawPeer) -> int:
    """Send a keyframe with sequence number 10. Returns the viewer's number of it."""
    await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, ssrc=SSRC))
    return (await viewer.receive_rtp()).sequence


async def test_a_viewer_on_another_engine_is_sent_the_publisher_s_packets() -> None:
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()
        await engines.relay()
        viewer = await engines.viewer()
        first = await start_video(publisher, viewer)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        second = await viewer.receive_rtp()
        assert (second.payload, second.sequence) == (vp8_delta(), (first + 1) & 0xFFFF)


async def test_a_relay_that_was_opened_before_the_publisher_connected_is_told_of_it() -> None:
    async with relayed_engines() as engines:
        peer = engines.own.raw_peer()
        answer = engines.own.forwarder.publish(connection_id="p", source_id="source", offer=peer.offer("sendonly"))
        await engines.relay()
        viewer = await engines.viewer()
        await peer.connect(answer.sdp, engines.own.forwarder.udp_port)
        await start_video(peer, viewer)


async def test_a_packet_that_fails_on_another_engine_does_not_end_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    receive_media = Publisher._receive_media

    def fail_for_one(publisher: Publisher, parsed: RtpPacket, now: float) -> None:
        if parsed.sequence == 11 and publisher.connection_id is None:
            raise RuntimeError
        receive_media(publisher, parsed, now)

    monkeypatch.setattr(Publisher, "_receive_media", fail_for_one)
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()
        await engines.relay()
        viewer = await engines.viewer()
        first = await start_video(publisher, viewer)
        for sequence in (11, 12):
            await publisher.send_rtp(rtp(vp8_delta(), sequence=sequence, ssrc=SSRC))
        assert (await viewer.receive_rtp()).sequence == (first + 2) & 0xFFFF


async def test_a_keyframe_request_on_another_engine_reaches_the_publisher() -> None:
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()
        await engines.relay()
        viewer = await engines.viewer()
        await publisher.send_rtp(rtp(vp8_delta(), sequence=9, ssrc=SSRC))
        request = cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest))
        assert request.media_ssrcs == (SSRC,)
        await start_video(publisher, viewer)


async def test_a_nack_is_answered_by_the_viewer_s_engine_and_not_passed_on() -> None:
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()
        await engines.relay()
        viewer = await engines.viewer()
        first = await start_video(publisher, viewer)
        ssrc = next(iter(viewer_ssrcs(engines.other.forwarder)))
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=ssrc, sequences=[first]))
        assert (await viewer.receive_rtp()).payload == first.to_bytes(2) + vp8_keyframe()
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=ssrc))
        await publisher.receive_rtcp(KeyframeRequest)
        assert not any(
            isinstance(message, Nack) for each in publisher.pending() if isinstance(each, list) for message in each
        )


async def test_sender_reports_reach_viewers_on_another_engine() -> None:
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()
        await engines.relay()
        viewer = await engines.viewer()
        await start_video(publisher, viewer)
        report = write_sender_report(ssrc=SSRC, ntp=1 << 40, rtp_timestamp=0, packets=1, octets=1, cname=b"c")
        await publisher.send_rtcp(report)
        assert isinstance(await viewer.receive_rtcp(SenderReport), SenderReport)


async def test_viewers_on_another_engine_choose_layers() -> None:
    async with relayed_engines() as engines:
        simulcast = await start(engines.own)
        await engines.relay()
        viewer = await engines.viewer(rtx=False)
        payload = await simulcast.send(HIGH, is_key=True)
        assert (await viewer.receive_rtp()).payload == payload
        await simulcast.send(LOW, is_key=True)
        listed = engines.other.forwarder.layers(connection_id="v").layers
        await wait_until(
            lambda: len(engines.other.forwarder.layers(connection_id="v").layers) == 2, f"both layers: {listed}"
        )
        engines.other.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("l"))
        assert await simulcast.keyframe_request() in (LOW, HIGH)
        low = await simulcast.send(LOW, is_key=True)
        while (await viewer.receive_rtp()).payload != low:
            pass


async def test_another_engine_knows_the_layers_of_a_publisher_that_has_sent_its_rids_before() -> None:
    async with relayed_engines() as engines:
        simulcast = await start(engines.own)
        await engines.relay()
        viewer = await engines.viewer(rtx=False)
        for layer in (HIGH, LOW):
            await simulcast.send(layer, is_key=True, has_rid=False)
        await viewer.receive_rtp()
        await wait_until(
            lambda: (
                [each.encoding_id for each in engines.other.forwarder.layers(connection_id="v").layers] == ["l", "h"]
            ),
            "both layers",
        )


async def test_a_publisher_is_limited_for_its_own_engine_s_viewers_unless_it_is_relayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit_bps = 400_000
    monkeypatch.setattr(LayerAllocation, "_limit_for", lambda _self, _watching: limit_bps)
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()

        async def wait_for_limit(*, is_limited: bool) -> None:
            while True:
                told = cast("EstimatedMaximum", await publisher.receive_rtcp(EstimatedMaximum))
                # The mantissa of a REMB has 18 bits.
                if (told.bitrate_bps <= limit_bps) is is_limited:
                    return

        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, ssrc=SSRC))
        await wait_for_limit(is_limited=True)
        await engines.relay()
        await wait_for_limit(is_limited=False)
        ticks = engines.own.forwarder._timer.ticks
        await wait_until(lambda: engines.own.forwarder._timer.ticks > ticks + 1, "the choice of the limit")
        engines.other.forwarder.end_source(source_id="source")
        await wait_for_limit(is_limited=True)


async def test_a_publisher_that_takes_over_continues_on_another_engine() -> None:
    async with relayed_engines() as engines:
        first = await engines.own.publisher("p1")
        await engines.relay()
        viewer = await engines.viewer()
        before = await start_video(first, viewer)
        second = await engines.own.publisher("p2")
        await engines.own.wait_for(Closed(connection_id="p1", cause=CloseCause.REPLACED))
        assert await start_video(second, viewer) == (before + 1) & 0xFFFF


async def test_a_change_of_the_codec_closes_viewers_on_another_engine() -> None:
    async with relayed_engines() as engines:
        await engines.own.publisher("p1")
        await engines.relay()
        await engines.viewer()
        await engines.own.publisher("p2", codec="H264")
        await engines.other.wait_for(Closed(connection_id="v", cause=CloseCause.SOURCE_CHANGED))


async def test_a_relay_that_is_lost_closes_its_viewers() -> None:
    async with relayed_engines() as engines:
        await engines.own.publisher()
        await engines.relay()
        await engines.viewer()
        await engines.own.forwarder.stop()
        await engines.other.wait_for(Closed(connection_id="v", cause=CloseCause.ENGINE_LOST))
        assert "source" not in engines.other.forwarder._sources


async def test_the_end_of_the_source_on_another_engine_ends_the_relay() -> None:
    async with relayed_engines() as engines:
        await engines.own.publisher()
        await engines.relay()
        engines.other.forwarder.end_source(source_id="source")
        await wait_until(lambda: engines.relays == 0, "the end of the relay")
        await engines.relay()


async def test_a_relay_that_never_connects_closes_its_viewers() -> None:
    async with relayed_engines() as engines:
        await engines.own.publisher()
        engines.accept()
        await engines.viewer()
        engines.other.skipped_seconds += 11
        await engines.other.wait_for(Closed(connection_id="v", cause=CloseCause.ENGINE_LOST))


async def test_a_source_is_relayed_once_and_cannot_be_published_elsewhere() -> None:
    async with relayed_engines() as engines:
        await engines.own.publisher()
        await engines.relay()
        with pytest.raises(MediaRefusedError) as refused:
            engines.accept()
        assert refused.value.reason is RefusalReason.BUSY
        with pytest.raises(MediaRefusedError) as refused:
            await engines.other.publisher("p2")
        assert refused.value.reason is RefusalReason.BUSY


async def test_a_relay_without_the_token_is_refused() -> None:
    async with relayed_engines() as engines:
        await engines.own.publisher()
        engines.accept()
        client = await FeedClient.connect(engines.ticket.path)
        client.writer.write(b"\0\0\0\x0e\x92\xaaRelayHello\xa1x")
        assert await client.is_disconnected()


async def test_the_measurement_of_a_relayed_source_is_left_to_its_own_engine() -> None:
    async with relayed_engines() as engines:
        publisher = await engines.own.publisher()
        await engines.relay()
        viewer = await engines.viewer()
        await start_video(publisher, viewer)
        source = engines.other.forwarder._sources["source"]
        assert source.measure(0.0) == []
        assert engines.other.facts == [Connected(connection_id="v")]


def viewer_ssrcs(forwarder: object) -> list[int]:
    """The SSRCs of video that the viewer `v` is sent."""
    source = forwarder._sources["source"]  # type: ignore[attr-defined]  # of a forwarder
    video = source.viewers["v"].video
    return [video.down_track.ssrc]
