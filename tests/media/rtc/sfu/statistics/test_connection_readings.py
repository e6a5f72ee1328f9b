"""The statistics of connections with real peers: what flows, what is lost, and who is unknown."""

import pytest

from stagebook.media.connection_statistics import ConnectionRole, ConnectionStatistics
from stagebook.media.port import Connected
from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtcp_writer import write_nack, write_pli, write_receiver_report
from tests.media.rtc.packets import rtp, vp8_delta
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video, wait_until


def read(engine: RunningEngine, connection_id: str) -> ConnectionStatistics:
    [statistics] = engine.forwarder.connection_statistics([connection_id])
    return statistics


async def test_a_publisher_s_streams_are_counted() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        # 11 is lost.
        await publisher.send_rtp(rtp(vp8_delta(), sequence=12, timestamp=12_000, ssrc=SSRC))
        await viewer.receive_rtp()
        engine.skipped_seconds += 2
        statistics = read(engine, "p")
        assert (statistics.role, statistics.transport) == (ConnectionRole.PUBLISHER, "udp")
        assert statistics.bitrate_bps > 0
        assert statistics.estimate_bps == 8_500_000
        [video] = statistics.streams
        assert (video.kind, video.width, video.height, video.layer) == ("video", 640, 360, None)
        await wait_until(lambda: read(engine, "p").nacked_packets > 0, "a NACK")
        await wait_until(lambda: read(engine, "p").streams[0].lost_packets == 1, "the loss")


async def test_a_viewer_s_stream_and_its_requests_are_counted() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence]))
        await viewer.receive_rtp()
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        block = ReportBlock(
            ssrc=first.ssrc,
            fraction_lost=0,
            packets_lost=1,
            highest_sequence=first.sequence,
            jitter=900,
            last_sender_report=0,
            delay=0,
        )
        await viewer.send_rtcp(write_receiver_report(ssrc=1, blocks=[block], cname=b"v"))
        await wait_until(lambda: read(engine, "v").keyframe_requests == 1, "the keyframe request")
        await wait_until(lambda: read(engine, "v").streams[-1].lost_packets == 1, "the receiver report")
        statistics = read(engine, "v")
        assert statistics.role is ConnectionRole.VIEWER
        assert (statistics.nacked_packets, statistics.resent_packets) == (1, 1)
        assert not statistics.is_video_paused
        video = next(each for each in statistics.streams if each.kind == "video")
        assert video.packets == 1
        assert video.jitter_seconds == pytest.approx(0.01)


async def test_the_bitrate_is_that_since_the_last_reading() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        engine.skipped_seconds += 10
        assert read(engine, "v").bitrate_bps > 0
        engine.skipped_seconds += 1
        assert read(engine, "v").bitrate_bps == 0


async def test_unknown_and_closed_connections_are_left_out() -> None:
    async with running_engine() as engine:
        await engine.publisher()
        await engine.wait_for(Connected(connection_id="p"))
        assert [each.connection_id for each in engine.forwarder.connection_statistics(["x", "p"])] == ["p"]
        engine.forwarder.close(connection_id="p")
        assert engine.forwarder.connection_statistics(["p"]) == ()
