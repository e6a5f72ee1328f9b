"""The engine pool with real engine processes: placement, requests, facts, lost processes, and the end."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.rtc.engine.engine_messages import CloseCommand, EndSourceCommand
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.worker.worker_messages import Command
from stagebook.media.worker.worker_process import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc import offers
from tests.media.rtc.feed_client import FeedClient, closing_feeds

DEADLINE_SECONDS = 30
FAST_RESTART = WorkerTimeouts(restart_delay_seconds=0.01)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the change happens in another process
            await asyncio.sleep(0.01)


def is_alive(process_id: int) -> bool:
    """Whether a process is running. A zombie is not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Scenario:
    """A pool and its reported facts."""

    def __init__(self, pool: EnginePool) -> None:
        self.pool = pool
        self.facts: list[MediaFact] = []
        pool.listen(self.facts.append)

    def process_id(self, number: int = 0) -> int:
        found = self.pool.engines[number].process_id
        assert found is not None
        return found

    def kill(self, number: int = 0, with_signal: int = signal.SIGKILL) -> None:
        os.kill(self.process_id(number), with_signal)

    async def publish(self, name: str) -> int:
        """Publish a source. Returns the UDP port of its engine."""
        answer = await self.pool.publish(connection_id=f"{name}-publisher", source_id=name, offer=offers.CHROMIUM)
        return port_of(answer.sdp)

    async def subscribe(self, name: str, viewer: str) -> int:
        answer = await self.pool.subscribe(connection_id=viewer, source_id=name, offer=offers.CHROMIUM_VIEWER)
        return port_of(answer.sdp)

    async def wait_for_restart(self, number: int = 0) -> None:
        """Wait until a new process of the engine is running."""
        engine, previous = self.pool.engines[number], self.process_id(number)
        await until(lambda: engine.is_running and engine.process_id != previous)


def port_of(answer: str) -> int:
    """The port of an answer's first candidate."""
    return int(next(line for line in answer.split("\r\n") if line.startswith("a=candidate")).split()[5])


@asynccontextmanager
async def running_pool(
    *, processes: int = 1, settings: EngineSettings | None = None, timeouts: WorkerTimeouts = FAST_RESTART
) -> AsyncIterator[Scenario]:
    pool = EnginePool(settings or EngineSettings(), processes=processes, timeouts=timeouts)
    await pool.start()
    try:
        async with closing_feeds():
            yield Scenario(pool)
    finally:
        await pool.stop()


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


async def test_a_lost_engine_closes_its_connections_and_a_new_process_takes_its_port() -> None:
    async with running_pool(processes=2) as scenario:
        port = await scenario.publish("a")
        await scenario.publish("b")
        await scenario.subscribe("a", "v")
        scenario.kill(0)
        await scenario.wait_for_restart(0)
        assert scenario.facts == [
            Closed(connection_id="v", cause=CloseCause.ENGINE_LOST),
            Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST),
        ]
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.subscribe("a", "w")
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
        assert await scenario.publish("c") == port
        await scenario.subscribe("b", "x")


async def test_pending_requests_fail_when_the_engine_is_lost_and_are_not_reported() -> None:
    async with running_pool() as scenario:
        await scenario.publish("a")
        scenario.kill(with_signal=signal.SIGSTOP)
        waiting = asyncio.create_task(scenario.publish("b"))
        patching = asyncio.create_task(scenario.pool.patch(connection_id="a-publisher", fragment="", ice_session=None))
        await asyncio.sleep(0)
        scenario.kill()
        for task in (waiting, patching):
            with pytest.raises(MediaRefusedError) as refused:
                await task
            assert refused.value.reason is RefusalReason.ENGINE_LOST
        await until(lambda: bool(scenario.facts))
        assert scenario.facts == [Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST)]


async def test_an_engine_that_does_not_reply_is_replaced() -> None:
    async with running_pool(timeouts=WorkerTimeouts(request_seconds=0.5)) as scenario:
        previous = scenario.process_id()
        scenario.kill(with_signal=signal.SIGSTOP)
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.publish("a")
        assert refused.value.reason is RefusalReason.ENGINE_LOST
        await until(lambda: scenario.pool.engines[0].is_running and scenario.pool.engines[0].process_id != previous)
        await scenario.publish("a")


async def test_an_engine_without_heartbeats_is_replaced() -> None:
    async with running_pool(timeouts=WorkerTimeouts(heartbeat_seconds=0.3)) as scenario:
        await scenario.publish("a")
        scenario.kill(with_signal=signal.SIGSTOP)
        await scenario.wait_for_restart()
        assert scenario.facts == [Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST)]


async def test_publishers_are_refused_while_no_engine_is_running() -> None:
    async with running_pool(timeouts=WorkerTimeouts(restart_delay_seconds=60)) as scenario:
        scenario.kill()
        await until(lambda: not scenario.pool.engines[0].is_running)
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.publish("a")
        assert refused.value.reason is RefusalReason.ENGINE_LOST


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


async def test_nothing_is_reported_about_a_connection_of_a_lost_engine_that_was_closed() -> None:
    async with running_pool() as scenario:
        await scenario.publish("a")
        await scenario.publish("b")
        await scenario.publish("c")
        # As if the engine's loss had been noticed now; the reports are still to come.
        scenario.pool._handle_loss(scenario.pool.engines[0], frozenset())
        scenario.pool.close(connection_id="a-publisher")
        scenario.pool.end_source(source_id="b")
        await until(lambda: bool(scenario.facts))
        assert scenario.facts == [Closed(connection_id="c-publisher", cause=CloseCause.ENGINE_LOST)]


async def test_an_engine_ignores_signals_meant_for_the_server() -> None:
    async with running_pool() as scenario:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            scenario.kill(with_signal=number)
        await scenario.publish("a")
        assert scenario.facts == []


async def test_stop_leaves_no_process_and_reports_no_fact() -> None:
    async with running_pool(processes=2) as scenario:
        await scenario.publish("a")
        processes = [scenario.process_id(0), scenario.process_id(1)]
        await scenario.pool.stop()
        assert not any(is_alive(process_id) for process_id in processes)
        assert scenario.facts == []


async def test_stop_does_not_wait_for_an_engine_that_hangs() -> None:
    pool = EnginePool(EngineSettings(), processes=1, timeouts=WorkerTimeouts(stop_seconds=0.2))
    await pool.start()
    process_id = pool.engines[0].process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGSTOP)
    await pool.stop()
    assert not is_alive(process_id)


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


SERVER_SCRIPT = """
import asyncio
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine.engine_settings import EngineSettings

async def main():
    pool = EnginePool(EngineSettings(), processes=2)
    await pool.start()
    print("engines", *(engine.process_id for engine in pool.engines), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_engines_exit_when_the_server_is_killed() -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER_SCRIPT, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    async for line in server.stdout:
        if line.startswith(b"engines "):
            break
    engines = [int(word) for word in line.split()[1:]]
    assert len(engines) == 2
    assert all(is_alive(process_id) for process_id in engines)
    server.kill()
    await server.wait()
    await until(lambda: not any(is_alive(process_id) for process_id in engines))


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


async def test_a_feed_is_placed_on_the_engine_of_its_source_and_viewers_follow() -> None:
    async with running_pool(processes=2) as scenario:
        await scenario.publish("other")
        ticket = await scenario.pool.open_feed(connection_id="f", source_id="s", is_redundant=False)
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.subscribe("s", "early")
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
        feed = await FeedClient.open(ticket)
        await until(lambda: Connected(connection_id="f") in scenario.facts)
        feed.play()
        assert await scenario.subscribe("s", "v") == scenario.pool.engines[1].udp_port
        await until(lambda: any(isinstance(fact, SourceMeasured) and fact.width == 320 for fact in scenario.facts))


async def test_the_feeds_of_a_lost_engine_are_closed() -> None:
    async with running_pool() as scenario:
        feeds: list[FeedClient] = []
        for connection_id in ("f", "g"):
            ticket = await scenario.pool.open_feed(connection_id=connection_id, source_id="s", is_redundant=True)
            feeds.append(await FeedClient.open(ticket))
        await until(lambda: {Connected(connection_id="f"), Connected(connection_id="g")} <= set(scenario.facts))
        scenario.kill()
        await scenario.wait_for_restart()
        await until(lambda: Closed(connection_id="g", cause=CloseCause.ENGINE_LOST) in scenario.facts)
        assert Closed(connection_id="f", cause=CloseCause.ENGINE_LOST) in scenario.facts
        for feed in feeds:
            assert await feed.is_disconnected()


async def test_a_closed_feed_is_disconnected_without_a_fact() -> None:
    async with running_pool() as scenario:
        feed = await FeedClient.open(
            await scenario.pool.open_feed(connection_id="f", source_id="s", is_redundant=False)
        )
        await until(lambda: Connected(connection_id="f") in scenario.facts)
        scenario.pool.close(connection_id="f")
        assert await feed.is_disconnected()
        again = await FeedClient.open(
            await scenario.pool.open_feed(connection_id="g", source_id="s", is_redundant=False)
        )
        await until(lambda: Connected(connection_id="g") in scenario.facts)
        scenario.pool.end_source(source_id="s")
        assert await again.is_disconnected()
        assert not any(isinstance(fact, Closed) for fact in scenario.facts)


async def test_the_feed_directory_is_deleted() -> None:
    async with running_pool(processes=2) as scenario:
        ticket = await scenario.pool.open_feed(connection_id="f", source_id="s", is_redundant=False)
        directory = Path(ticket.path).parent
        assert directory.stat().st_mode & 0o777 == 0o700
        assert len(list(directory.iterdir())) == 2
    assert not directory.exists()


async def test_without_a_feed_directory_no_engine_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    pool = EnginePool(EngineSettings(), processes=1)
    with pytest.raises(WorkerStartError, match=r"cannot create a directory for encoder feeds: .*'/nowhere"):
        await pool.start()
    assert pool.engines[0].process_id is None
