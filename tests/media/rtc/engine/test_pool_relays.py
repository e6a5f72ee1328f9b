"""A source on several engine processes: where its viewers are, media that reaches them, and lost engines."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

from stagebook.media.port import CloseCause, Closed, Connected, MediaRefusedError, RefusalReason
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc.engine.running_pool import Scenario, running_pool, until


@contextlib.asynccontextmanager
async def publishing(scenario: Scenario) -> AsyncIterator[None]:
    """Publish the source `a` from an aiortc peer."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        answer = await scenario.pool.publish(
            connection_id="a-publisher", source_id="a", offer=connection.localDescription.sdp
        )
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp, type="answer"))
        await until(lambda: Connected(connection_id="a-publisher") in scenario.facts)
        yield
    finally:
        await connection.close()


async def test_a_viewer_on_another_engine_sees_the_video() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario, publishing(scenario):
        viewer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        try:
            viewer.addTransceiver("video", direction="recvonly")
            await viewer.setLocalDescription(await viewer.createOffer())
            answer = await scenario.pool.subscribe(connection_id="v", source_id="a", offer=viewer.localDescription.sdp)
            assert str(scenario.pool.engines[1].udp_port) in answer.sdp
            await viewer.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp, type="answer"))
            async with asyncio.timeout(30):
                for _ in range(3):
                    await viewer.getReceivers()[0].track.recv()
        finally:
            await viewer.close()


async def test_viewers_are_spread_over_the_engines() -> None:
    async with running_pool(processes=2, relay_margin=2) as scenario:
        ports = [engine.udp_port for engine in scenario.pool.engines]
        await scenario.publish("a")
        placed = [await scenario.subscribe("a", f"v{number}") for number in range(6)]
        assert placed == [ports[number] for number in (0, 1, 1, 0, 1, 0)]


async def test_viewers_that_arrive_together_share_one_relay() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario:
        await scenario.publish("a")
        placed = await asyncio.gather(*(scenario.subscribe("a", f"v{number}") for number in range(8)))
        assert sorted(placed.count(engine.udp_port) for engine in scenario.pool.engines) == [4, 4]


async def test_a_relay_ends_with_its_last_viewer_and_is_opened_again() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario:
        await scenario.publish("a")
        other = scenario.pool.engines[1].udp_port
        for _ in range(3):
            assert await scenario.subscribe("a", "v") == other
            scenario.pool.close(connection_id="v")


async def test_the_end_of_the_source_ends_it_everywhere() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario:
        await scenario.publish("a")
        await scenario.subscribe("a", "v")
        scenario.pool.end_source(source_id="a")
        await scenario.publish("a")
        await scenario.subscribe("a", "v")
        assert scenario.facts == []


async def test_the_loss_of_the_source_s_engine_closes_its_viewers_on_others() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario:
        await scenario.publish("a")
        await scenario.subscribe("a", "v")
        scenario.kill(0)
        await scenario.wait_for_restart(0)
        assert scenario.facts == [
            Closed(connection_id="v", cause=CloseCause.ENGINE_LOST),
            Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST),
        ]
        await scenario.publish("a")
        await scenario.subscribe("a", "w")


async def test_the_loss_of_another_engine_closes_the_viewers_there_only() -> None:
    async with running_pool(processes=2, relay_margin=2) as scenario:
        await scenario.publish("a")
        await scenario.subscribe("a", "here")
        await scenario.subscribe("a", "there")
        scenario.kill(1)
        await scenario.wait_for_restart(1)
        assert scenario.facts == [Closed(connection_id="there", cause=CloseCause.ENGINE_LOST)]
        await scenario.subscribe("a", "again")


async def test_a_viewer_whose_relay_cannot_be_opened_goes_to_the_source_s_engine() -> None:
    timeouts = WorkerTimeouts(restart_delay_seconds=30)
    async with running_pool(processes=2, relay_margin=1, timeouts=timeouts) as scenario:
        own = await scenario.publish("a")
        scenario.kill(1, signal.SIGSTOP)
        subscribing = asyncio.create_task(scenario.subscribe("a", "v"))
        await asyncio.sleep(0.1)
        scenario.kill(1)
        assert await subscribing == own


async def test_a_cancelled_subscription_leaves_no_relay() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario:
        await scenario.publish("a")
        subscribing = asyncio.create_task(scenario.subscribe("a", "v"))
        await asyncio.sleep(0)
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        other = scenario.pool.engines[1].udp_port
        assert await scenario.subscribe("a", "w") == other


async def test_refusals_of_an_offer_come_from_a_relay_too() -> None:
    async with running_pool(processes=2, relay_margin=1) as scenario:
        await scenario.publish("a")
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.pool.subscribe(connection_id="v", source_id="a", offer="nonsense")
        assert refused.value.reason is RefusalReason.MALFORMED
