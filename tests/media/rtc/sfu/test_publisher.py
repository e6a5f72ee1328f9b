"""RTCP feedback to a publisher: NACK, keyframe requests, receiver reports and REMB."""

from typing import cast

import pytest

from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.rtp.rtcp import KeyframeRequest, Nack, ReceiverReport
from stagebook.media.rtc.rtp.rtcp_writer import write_pli
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RTX_PAYLOAD_TYPE
from tests.media.rtc.running_engine import SSRC, running_engine, start_video


async def test_a_lost_packet_is_requested_by_nack_and_repaired_by_rtx() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        await publisher.send_rtp(rtp(b"\0after", sequence=12, timestamp=12000, ssrc=SSRC))
        await viewer.receive_rtp()
        nack = cast("Nack", await publisher.receive_rtcp(Nack))
        assert (nack.media_ssrc, list(nack.sequences())) == (SSRC, [11])
        original = (11).to_bytes(2, "big") + b"\0lost"
        await publisher.send_rtp(rtp(original, sequence=1, timestamp=9000, ssrc=2000, payload_type=RTX_PAYLOAD_TYPE))
        repaired = await viewer.receive_rtp()
        assert (repaired.payload, repaired.timestamp) == (b"\0lost", first.timestamp)
        assert repaired.sequence == (first.sequence + 1) & 0xFFFF
        # A second copy is dropped.
        await publisher.send_rtp(rtp(original, sequence=2, timestamp=9000, ssrc=2000, payload_type=RTX_PAYLOAD_TYPE))
        await publisher.send_rtp(rtp(b"\0next", sequence=13, timestamp=12000, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == b"\0next"


async def test_a_nack_is_repeated_until_the_packet_arrives() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        await publisher.send_rtp(rtp(b"\0after", sequence=12, ssrc=SSRC))
        for _ in range(3):
            assert cast("Nack", await publisher.receive_rtcp(Nack)).items == b"\0\x0b\0\0"


async def test_keyframe_requests_of_viewers_are_merged() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        engine.skipped_seconds += 1
        for _ in range(20):
            await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        request = cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest))
        assert request.media_ssrcs == (SSRC,)
        engine.skipped_seconds += 1
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        await publisher.receive_rtcp(KeyframeRequest)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        await viewer.receive_rtp()
        more = [
            m for got in publisher.pending() if isinstance(got, list) for m in got if isinstance(m, KeyframeRequest)
        ]
        assert more == []


async def test_a_keyframe_is_requested_for_a_new_viewer() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher()
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=1, ssrc=SSRC))
        await publisher.receive_rtcp(ReceiverReport)
        viewer = await engine.viewer()
        assert cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest)).media_ssrcs == (SSRC,)
        viewer.close()


async def test_receiver_reports_count_lost_packets() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher()
        for sequence in (1, 2, 4):
            await publisher.send_rtp(rtp(vp8_keyframe(), sequence=sequence, ssrc=SSRC))
        report = cast("ReceiverReport", await publisher.receive_rtcp(ReceiverReport))
        while not report.blocks:
            report = cast("ReceiverReport", await publisher.receive_rtcp(ReceiverReport))
        (block,) = report.blocks
        assert (block.ssrc, block.packets_lost, block.fraction_lost, block.highest_sequence) == (SSRC, 1, 64, 4)


async def test_remb_is_sent_with_the_first_packet() -> None:
    async with running_engine(EngineSettings(max_bitrate_bps=1_000_000)) as engine:
        publisher = await engine.publisher(audio=False)
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=1, ssrc=SSRC))
        remb = await publisher.receive_rtcp_containing(b"REMB")
        assert remb[-4:] == SSRC.to_bytes(4, "big")
        rate = int.from_bytes(remb[-7:-4], "big")
        assert (rate & 0x3FFFF) << (rate >> 18) == pytest.approx(1_000_000, rel=0.001)
