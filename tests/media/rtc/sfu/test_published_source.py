"""A source published by WebRTC: one stream for the viewers across publishers and simulcast layers."""

import time
from typing import cast

import pytest

from stagebook.media.port import CloseCause, Closed, Connected, MediaRefusedError, RefusalReason, SourceMeasured
from stagebook.media.rtc.rtp.rtcp import (
    KeyframeRequest,
    SenderReport,
)
from tests.media.rtc import encoded
from tests.media.rtc.packets import one_byte_extension, rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RID_EXTENSION
from tests.media.rtc.running_engine import running_engine, start_video, wait_until


async def test_a_new_publisher_continues_the_same_stream() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher("p1"), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        second = await engine.publisher("p2")
        await engine.wait_for(Connected(connection_id="p2"))
        await second.send_rtp(rtp(vp8_delta(), sequence=500, timestamp=77, ssrc=5))
        await second.send_rtp(rtp(vp8_keyframe(), sequence=501, timestamp=78, ssrc=5))
        packet = await viewer.receive_rtp()
        assert packet.payload == vp8_keyframe()
        assert packet.ssrc == first.ssrc
        assert packet.sequence == (first.sequence + 1) & 0xFFFF
        assert 0 < packet.timestamp - first.timestamp < 90000 * 10
        closed = [fact for fact in engine.facts if isinstance(fact, Closed)]
        assert closed == [Closed(connection_id="p1", cause=CloseCause.REPLACED)]


async def test_the_best_simulcast_layer_is_forwarded_and_the_next_one_when_it_stops() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(rids=("l", "h"), rtx=False), await engine.viewer()
        await engine.wait_for(Connected(connection_id="v"))
        low, high = one_byte_extension({RID_EXTENSION: b"l"}), one_byte_extension({RID_EXTENSION: b"h"})
        await publisher.send_rtp(rtp(vp8_keyframe(320, 180), sequence=1, timestamp=0, ssrc=1, extension=low))
        first = await viewer.receive_rtp()
        await publisher.send_rtp(rtp(vp8_keyframe(1280, 720), sequence=900, timestamp=50, ssrc=2, extension=high))
        assert cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest)).media_ssrcs == (2,)
        await publisher.send_rtp(rtp(vp8_keyframe(1280, 720), sequence=901, timestamp=3050, ssrc=2))
        better = await viewer.receive_rtp()
        assert better.payload == vp8_keyframe(1280, 720)
        assert better.sequence == (first.sequence + 1) & 0xFFFF
        # The high layer stops while the low one continues.
        engine.skipped_seconds += 2
        await publisher.send_rtp(rtp(vp8_delta(), sequence=2, timestamp=9000, ssrc=1))
        requested = cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest))
        while requested.media_ssrcs != (1,):
            requested = cast("KeyframeRequest", await publisher.receive_rtcp(KeyframeRequest))
        await publisher.send_rtp(rtp(vp8_keyframe(320, 180), sequence=3, timestamp=12000, ssrc=1))
        lower = await viewer.receive_rtp()
        assert lower.payload == vp8_keyframe(320, 180)
        assert lower.sequence == (better.sequence + 1) & 0xFFFF
        assert 0 < lower.timestamp - better.timestamp < 90000 * 10


async def test_viewers_get_sender_reports_when_the_publisher_sends_none() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        engine.skipped_seconds += 4
        report = cast("SenderReport", await viewer.receive_rtcp(SenderReport))
        assert report.ssrc == first.ssrc
        assert report.ntp >> 32 == pytest.approx(time.time() + 2_208_988_800, abs=60)
        # At least four seconds at 90 kHz.
        assert 4 * 90_000 <= report.rtp_timestamp - first.timestamp < 34 * 90_000
        assert publisher is not viewer


async def test_an_older_publisher_does_not_replace_a_newer_one() -> None:
    async with running_engine() as engine:
        older = engine.raw_peer()
        answer = engine.forwarder.publish(connection_id="p1", source_id="source", offer=older.offer("sendonly"))
        newer, viewer = await engine.publisher("p2"), await engine.viewer()
        await engine.wait_for(Connected(connection_id="p2"))
        older.take_credentials(answer.sdp)
        await start_video(engine, newer, viewer)
        with pytest.raises(MediaRefusedError) as refused:
            engine.forwarder.patch(connection_id="p1", fragment="a=end-of-candidates\r\n", ice_session=None)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        closed = [fact for fact in engine.facts if isinstance(fact, Closed)]
        assert closed == [Closed(connection_id="p1", cause=CloseCause.REPLACED)]


@pytest.mark.parametrize("b_frames", [0, 2])
async def test_b_frames_of_a_publisher_are_measured(b_frames: int) -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher(codec="H264")
        await engine.wait_for(Connected(connection_id="p"))
        sequence = 0
        for number, frame in enumerate(encoded.h264(frames=12, b_frames=b_frames, profile="main")):
            for payload in encoded.h264_payloads(frame):
                sequence += 1
                await publisher.send_rtp(rtp(payload, sequence=sequence, timestamp=number * 3_000, ssrc=5))

        def measured() -> list[SourceMeasured]:
            return [fact for fact in engine.facts if isinstance(fact, SourceMeasured) and fact.width == 640]

        await wait_until(lambda: bool(measured()), "a measurement")
        assert any(fact.has_b_frames for fact in measured()) == (b_frames > 0)
