"""Which publisher's connection feeds a source when several are open, and which facts are reported about them.

The rule: a newer connection takes the source over when it connects, not when its offer is answered.
"""

import asyncio

import pytest

from stagebook.media.port import CloseCause, Closed, Connected, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine_settings import EngineSettings
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video


def offer_publisher(engine: RunningEngine, connection_id: str, *, codec: str = "VP8") -> tuple[RawPeer, str]:
    """A publisher that has its answer and has not connected: the peer and the answer's SDP."""
    peer = engine.raw_peer()
    offer = peer.offer("sendonly", codec=codec)
    answer = engine.forwarder.publish(connection_id=connection_id, source_id="source", offer=offer)
    return peer, answer.sdp


def connection_facts(engine: RunningEngine) -> list[MediaFact]:
    """The facts about connections, in order."""
    return [fact for fact in engine.facts if isinstance(fact, Connected | Closed)]


def assert_unknown(engine: RunningEngine, connection_id: str) -> None:
    """The forwarder has no such connection."""
    with pytest.raises(MediaRefusedError) as refused:
        engine.forwarder.patch(connection_id=connection_id, fragment="a=end-of-candidates\r\n", ice_session=None)
    assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION


def replaced(connection_id: str) -> Closed:
    return Closed(connection_id=connection_id, cause=CloseCause.REPLACED)


async def test_a_newer_publisher_that_never_connects_changes_nothing_for_the_first() -> None:
    async with running_engine(EngineSettings(connect_timeout_seconds=5)) as engine:
        first, viewer = await engine.publisher("p1"), await engine.viewer()
        await start_video(engine, first, viewer)
        offer_publisher(engine, "p2", codec="H264")
        engine.skipped_seconds += 6
        await engine.wait_for(Closed(connection_id="p2", cause=CloseCause.NEVER_CONNECTED))
        await first.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == vp8_delta()
        assert connection_facts(engine) == [
            Connected(connection_id="p1"),
            Connected(connection_id="v"),
            Closed(connection_id="p2", cause=CloseCause.NEVER_CONNECTED),
        ]


async def test_a_newer_publisher_that_connects_replaces_the_first() -> None:
    async with running_engine() as engine:
        first, viewer = await engine.publisher("p1"), await engine.viewer()
        await start_video(engine, first, viewer)
        await engine.publisher("p2")
        await engine.wait_for(Connected(connection_id="p2"))
        assert_unknown(engine, "p1")
        assert connection_facts(engine) == [
            *(Connected(connection_id=name) for name in ("p1", "v", "p2")),
            replaced("p1"),
        ]


async def test_an_older_publisher_cannot_connect_after_a_newer_one_has() -> None:
    async with running_engine() as engine:
        older, answer = offer_publisher(engine, "p1")
        newer, viewer = await engine.publisher("p2"), await engine.viewer()
        await engine.wait_for(Connected(connection_id="p2"))
        assert_unknown(engine, "p1")
        # The forwarder no longer knows the ICE credentials of the older connection: its checks get no response.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await older.connect(answer, engine.forwarder.udp_port)
        await start_video(engine, newer, viewer)
        assert connection_facts(engine) == [Connected(connection_id="p2"), replaced("p1"), Connected(connection_id="v")]


async def test_the_newest_of_three_publishers_takes_over_even_if_the_second_connects_first() -> None:
    async with running_engine() as engine:
        offer_publisher(engine, "p1")
        second, second_answer = offer_publisher(engine, "p2")
        third, third_answer = offer_publisher(engine, "p3")
        await second.connect(second_answer, engine.forwarder.udp_port)
        await third.connect(third_answer, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="p3"))
        assert_unknown(engine, "p1")
        assert_unknown(engine, "p2")
        assert connection_facts(engine) == [
            Connected(connection_id="p2"),
            replaced("p1"),
            Connected(connection_id="p3"),
            replaced("p2"),
        ]


async def test_viewers_stay_when_the_publisher_is_closed_while_a_newer_one_connects() -> None:
    async with running_engine() as engine:
        first, viewer = await engine.publisher("p1"), await engine.viewer()
        before = await start_video(engine, first, viewer)
        second, answer = offer_publisher(engine, "p2")
        engine.forwarder.close(connection_id="p1")
        await engine.viewer("w")
        await second.connect(answer, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="p2"))
        await second.send_rtp(rtp(vp8_keyframe(), sequence=1, ssrc=SSRC))
        assert (await viewer.receive_rtp()).sequence == (before.sequence + 1) & 0xFFFF
        assert not any(isinstance(fact, Closed) for fact in engine.facts)


async def test_closing_one_of_two_connecting_publishers_leaves_the_other_and_the_source() -> None:
    async with running_engine() as engine:
        offer_publisher(engine, "p1")
        second, answer = offer_publisher(engine, "p2")
        engine.forwarder.close(connection_id="p1")
        viewer = await engine.viewer()
        await second.connect(answer, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="p2"))
        await start_video(engine, second, viewer)
        assert not any(isinstance(fact, Closed) for fact in engine.facts)


async def test_a_source_stays_when_its_only_connecting_publisher_is_closed() -> None:
    async with running_engine() as engine:
        offer_publisher(engine, "p1")
        engine.forwarder.close(connection_id="p1")
        await engine.viewer()
        await engine.wait_for(Connected(connection_id="v"))
        assert connection_facts(engine) == [Connected(connection_id="v")]
        engine.forwarder.end_source(source_id="source")
        with pytest.raises(MediaRefusedError) as refused:
            await engine.viewer("w")
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE


async def test_viewers_of_another_codec_are_reported_closed_before_the_new_publisher_is_reported() -> None:
    async with running_engine() as engine:
        first, viewer = await engine.publisher("p1"), await engine.viewer()
        await start_video(engine, first, viewer)
        second = engine.raw_peer()
        offer = second.offer("sendonly", codec="H264")
        answer = engine.forwarder.publish(connection_id="p2", source_id="source", offer=offer)
        await second.connect(answer.sdp, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="p2"))
        assert connection_facts(engine)[2:] == [
            Closed(connection_id="v", cause=CloseCause.SOURCE_CHANGED),
            Connected(connection_id="p2"),
            replaced("p1"),
        ]
