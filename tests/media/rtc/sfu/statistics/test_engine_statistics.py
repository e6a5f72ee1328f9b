"""The counters of an engine: what each kind of packet and feedback adds to them."""

from msgspec import structs

from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtcp_writer import write_nack, write_pli, write_receiver_report
from stagebook.media.rtc.sfu.statistics.engine_statistics import NO_STATISTICS, EngineStatistics, MediaCounters
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RTX_PAYLOAD_TYPE
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video


def statistics(engine: RunningEngine) -> EngineStatistics:
    return engine.forwarder.statistics(cpu_seconds=1.5)


def report_block(ssrc: int, lost: int) -> ReportBlock:
    return ReportBlock(
        ssrc=ssrc, fraction_lost=0, packets_lost=lost, highest_sequence=1, jitter=0, last_sender_report=0, delay=0
    )


async def test_packets_and_bytes_are_counted_in_both_directions() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        before = structs.asdict(statistics(engine).media), structs.asdict(statistics(engine).transport)
        packet = rtp(vp8_delta(), sequence=11, ssrc=SSRC)
        await publisher.send_rtp(packet)
        await viewer.receive_rtp()
        now = statistics(engine)
        assert now.transport.received_packets - before[1]["received_packets"] == 1
        assert now.transport.received_bytes - before[1]["received_bytes"] == len(packet)
        assert now.media.sent_packets - before[0]["sent_packets"] == 1
        assert now.media.sent_bytes - before[0]["sent_bytes"] == 12 + len(vp8_delta())
        assert (now.sources, now.publishers, now.viewers, now.feeds, now.connecting) == (1, 1, 1, 0, 0)
        assert now.cpu_seconds == 1.5


async def test_a_packet_of_the_publisher_that_is_missing_and_retransmitted_is_lost_and_recovered() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        await publisher.send_rtp(rtp(b"\0after", sequence=13, ssrc=SSRC))
        await viewer.receive_rtp()
        repair = (11).to_bytes(2, "big") + b"\0lost"
        await publisher.send_rtp(rtp(repair, sequence=1, ssrc=2000, payload_type=RTX_PAYLOAD_TYPE))
        await viewer.receive_rtp()
        engine.forwarder.close(connection_id="p")
        media = statistics(engine).media
        assert (media.missing_packets, media.recovered_packets) == (2, 1)
        assert media.requested_packets >= 2


async def test_the_feedback_of_viewers_is_counted() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        requested = statistics(engine).media.requested_keyframes
        engine.skipped_seconds += 2
        missing = (first.sequence + 100) & 0xFFFF
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence, missing]))
        resent = await viewer.receive_rtp()
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=11, ssrc=SSRC))
        await viewer.receive_rtp()
        media = statistics(engine).media
        assert (media.nacked_packets, media.resent_packets) == (2, 1)
        assert media.resent_bytes == 12 + len(resent.payload)
        assert media.keyframe_requests == 1
        assert media.requested_keyframes == requested + 1


async def test_losses_that_a_viewer_reports_are_counted_once_and_never_above_what_it_was_sent() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        for sequence in range(11, 20):
            await publisher.send_rtp(rtp(vp8_delta(), sequence=sequence, ssrc=SSRC))
            await viewer.receive_rtp()
        for index, (lost, counted) in enumerate(((3, 3), (3, 3), (1, 3), (-5, 3), (4, 4), (1_000_000, 10))):
            await viewer.send_rtcp(write_receiver_report(ssrc=1, blocks=[report_block(first.ssrc, lost)], cname=b""))
            # A packet that is answered shows that the report before it has been handled.
            sequence = (first.sequence + index) & 0xFFFF
            await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[sequence]))
            await viewer.receive_rtp()
            assert statistics(engine).media.lost_packets == counted


def test_the_totals_of_an_ended_engine_are_continued_and_its_connections_are_not() -> None:
    ended = EngineStatistics(
        media=MediaCounters(sent_packets=5),
        transport=TransportStatistics(received_packets=7),
        cpu_seconds=2.0,
        sources=1,
        viewers=4,
    )
    lost = ended.without_connections()
    assert (lost.media.sent_packets, lost.sources, lost.viewers) == (5, 0, 0)
    continued = structs.replace(NO_STATISTICS, media=MediaCounters(sent_packets=1), sources=2).continued_from(lost)
    assert (continued.media.sent_packets, continued.transport.received_packets) == (6, 7)
    assert (continued.cpu_seconds, continued.sources, continued.viewers) == (2.0, 2, 0)
