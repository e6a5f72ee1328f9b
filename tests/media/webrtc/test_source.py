"""A source whose stream goes on while publishers and layers come and go."""

from typing import cast

from stagebook.media.port import Closed, Connected
from stagebook.media.webrtc.rtcp import (
    KeyframeRequest,
)
from tests.media.webrtc.engine import running_engine, started
from tests.media.webrtc.packets import one_byte_extension, rtp, vp8_delta, vp8_keyframe
from tests.media.webrtc.raw_peer import RID_EXTENSION


async def test_another_publisher_goes_on_in_the_same_stream() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher("p1"), await engine.viewer()
        first = await started(engine, publisher, viewer)
        second = await engine.publisher("p2")
        await engine.wait_for(Connected(connection_id="p2"))
        await second.send_rtp(rtp(vp8_delta(), sequence=500, timestamp=77, ssrc=5))
        await second.send_rtp(rtp(vp8_keyframe(), sequence=501, timestamp=78, ssrc=5))
        packet = await viewer.receive_rtp()
        assert packet.payload == vp8_keyframe()
        assert packet.ssrc == first.ssrc
        assert packet.sequence == (first.sequence + 1) & 0xFFFF
        assert 0 < packet.timestamp - first.timestamp < 90000 * 10
        assert not any(isinstance(fact, Closed) for fact in engine.facts)


async def test_the_best_simulcast_layer_is_forwarded_and_another_one_when_it_ends() -> None:
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
        # The high layer falls silent while the low one goes on.
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
