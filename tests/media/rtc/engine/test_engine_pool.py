"""The engine pool with real engine processes: placement, requests, facts, ports."""

import asyncio
import socket

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    InitialLayer,
    LayerChoice,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
    VideoLayers,
)
from stagebook.media.rtc.engine.engine_messages import CloseCommand, EndSourceCommand
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.worker.worker_messages import Command
from stagebook.media.worker.worker_run import WorkerStartError
from tests.media.rtc import offers
from tests.media.rtc.engine.running_pool import (
    Scenario,
    running_pool,
    until,
)


async def test_sources_are_spread_over_engines_and_viewers_follow_their_source() -> None:
    async with running_pool(processes=2) as scenario:
        ports = [engine.udp_port for engine in scenario.pool.engines]
        assert len(set(ports)) == 2
        assert [await scenario.publish("a"), await scenario.publish("b")] == ports
        assert [await scenario.subscribe("b", "v"), await scenario.subscribe("a", "w")] == [ports[1], ports[0]]
        assert scenario.pool.describe() == f"127.0.0.1, UDP ports {ports[0]}, {ports[1]}"


async def test_refusals_arrive_with_their_reasons() -> None:
    async with running_pool() as scenario:
        for offer, reason in (
            ("nonsense", RefusalReason.MALFORMED),
            ("\ud800", RefusalReason.MALFORMED),
            ("x" * 2_000_000, RefusalReason.MALFORMED),
            (offers.CHROMIUM_VIEWER, RefusalReason.VIDEO_CODEC),
        ):
            with pytest.raises(MediaRefusedError) as refused:
                await scenario.pool.publish(connection_id="c", source_id="s", offer=offer)
            assert refused.value.reason is reason
        with pytest.raises(MediaRefusedError) as unknown:
            await scenario.subscribe("s", "v")
        assert unknown.value.reason is RefusalReason.UNKNOWN_SOURCE


async def test_layers_are_listed_and_chosen_by_the_engine_of_the_connection() -> None:
    async with running_pool() as scenario:
        pool = scenario.pool
        await pool.publish(connection_id="p", source_id="s", offer=offers.CHROMIUM_SIMULCAST)
        answer = await pool.subscribe(
            connection_id="v", source_id="s", offer=offers.CHROMIUM_VIEWER, initial_layer=InitialLayer.LOWEST
        )
        assert answer.has_layers
        # The publisher is not connected, so it sends no layer.
        assert await pool.layers(connection_id="v") == VideoLayers(section=1, layers=())
        await pool.select_layer(connection_id="v", choice=LayerChoice())
        for connection_id, reason in (
            ("v", RefusalReason.UNKNOWN_LAYER),
            ("p", RefusalReason.UNKNOWN_CONNECTION),
            ("nobody", RefusalReason.UNKNOWN_CONNECTION),
        ):
            with pytest.raises(MediaRefusedError) as refused:
                await pool.select_layer(connection_id=connection_id, choice=LayerChoice.exactly("q"))
            assert refused.value.reason is reason


async def test_a_fragment_reaches_its_connection() -> None:
    fragment = (
        f"a=ice-ufrag:{offers.UFRAG}\r\na=ice-pwd:{offers.PWD}\r\nm=audio 9 X 0\r\na=mid:0\r\na=end-of-candidates\r\n"
    )
    async with running_pool() as scenario:
        answer = await scenario.pool.publish(connection_id="c", source_id="s", offer=offers.CHROMIUM)
        patched = await scenario.pool.patch(connection_id="c", fragment=fragment, ice_session=answer.ice_session)
        assert patched.ice_session == answer.ice_session
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.pool.patch(connection_id="c", fragment="nonsense", ice_session=None)
        assert refused.value.reason is RefusalReason.MALFORMED


async def test_a_closed_connection_and_an_ended_source_are_unknown() -> None:
    async with running_pool() as scenario:
        await scenario.publish("s")
        await scenario.subscribe("s", "v")
        scenario.pool.close(connection_id="v")
        scenario.pool.close(connection_id="v")
        scenario.pool.end_source(source_id="s")
        scenario.pool.end_source(source_id="s")
        for connection_id in ("v", "s-publisher"):
            with pytest.raises(MediaRefusedError) as refused:
                await scenario.pool.patch(connection_id=connection_id, fragment="", ice_session=None)
            assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        with pytest.raises(MediaRefusedError):
            await scenario.subscribe("s", "w")
        await scenario.publish("s")


async def test_facts_come_out_of_the_process() -> None:
    async with running_pool(settings=EngineSettings(connect_timeout_seconds=0.2)) as scenario:
        await scenario.publish("s")
        await until(lambda: Closed(connection_id="s-publisher", cause=CloseCause.NEVER_CONNECTED) in scenario.facts)


async def test_a_cancelled_publish_leaves_no_connection_and_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Command] = []
    send = EngineWorker.send

    def record(engine: EngineWorker, command: Command) -> None:
        sent.append(command)
        send(engine, command)

    monkeypatch.setattr(EngineWorker, "send", record)
    async with running_pool() as scenario:
        publishing = asyncio.create_task(scenario.publish("a"))
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        # The engine had accepted the publisher: it must not keep the source.
        assert sent == [CloseCommand(connection_id="a-publisher"), EndSourceCommand(source_id="a")]
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.subscribe("a", "v")
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
        await scenario.publish("a")


async def test_a_cancelled_publish_leaves_a_source_that_has_another_publisher() -> None:
    async with running_pool() as scenario:
        await scenario.publish("a")
        newer = asyncio.create_task(scenario.pool.publish(connection_id="newer", source_id="a", offer=offers.CHROMIUM))
        await asyncio.sleep(0)
        newer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await newer
        await scenario.subscribe("a", "v")


async def test_the_configured_port_is_used() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with running_pool(settings=EngineSettings(udp_port=port)) as scenario:
        assert await scenario.publish("a") == port


async def test_the_error_for_a_port_in_use_names_it_and_no_process_is_left() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        pool = EnginePool(EngineSettings(udp_port=port), processes=1)
        with pytest.raises(WorkerStartError, match=f"127.0.0.1 UDP port {port}: Address already in use"):
            await pool.start()
    assert pool.engines[0].process_id is None


@pytest.mark.parametrize("processes", [0, 65])
def test_an_invalid_number_of_processes_is_refused(processes: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        EnginePool(EngineSettings(), processes=processes)


async def test_the_answer_of_an_engine_process_is_an_sdp_answer() -> None:
    async with running_pool() as scenario:
        answer = await scenario.pool.publish(connection_id="c", source_id="s", offer=offers.CHROMIUM_SIMULCAST)
        assert [section.direction for section in parse_description(answer.sdp).sections] == ["recvonly", "recvonly"]


async def test_an_aiortc_peer_connects_and_its_source_is_measured() -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    async with running_pool() as scenario:
        try:
            connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
            await connection.setLocalDescription(await connection.createOffer())
            answer = await scenario.pool.publish(
                connection_id="c", source_id="s", offer=connection.localDescription.sdp
            )
            await connection.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp, type="answer"))
            await until(lambda: any(isinstance(fact, SourceMeasured) and fact.width == 640 for fact in scenario.facts))
        finally:
            await connection.close()
        assert scenario.facts[0] == Connected(connection_id="c")
        await until(lambda: Closed(connection_id="c", cause=CloseCause.PEER_CLOSED) in scenario.facts)


async def test_engines_on_demand_start_with_the_first_publisher() -> None:
    pool = EnginePool(EngineSettings(), processes=1, on_demand=True)
    await pool.start()
    try:
        scenario = Scenario(pool)
        assert [engine.process_id for engine in pool.engines] == [None]
        assert pool.describe() == "127.0.0.1, UDP ports once somebody publishes"
        ports = await asyncio.gather(scenario.publish("a"), scenario.publish("b"))
        assert set(ports) == {pool.engines[0].udp_port}
    finally:
        await pool.stop()


async def test_engines_on_demand_that_cannot_start_refuse_publishers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        pool = EnginePool(EngineSettings(udp_port=taken.getsockname()[1]), processes=1, on_demand=True)
        await pool.start()
        try:
            with pytest.raises(MediaRefusedError, match="media cannot be received") as refused:
                await Scenario(pool).publish("a")
            assert refused.value.reason is RefusalReason.ENGINE_LOST
        finally:
            await pool.stop()
