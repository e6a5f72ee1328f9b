"""One TCP port for all engines: each connection reaches the engine whose answer its peer has. Real engine processes."""

import signal
import socket

import pytest

from stagebook.media.port import CloseCause, Closed, Connected
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.worker_run import WorkerStartError
from tests.media.rtc.engine.running_pool import Scenario, running_pool, until
from tests.media.rtc.tcp_peer import TcpPeer

SETTINGS = EngineSettings(tcp_port=0)


async def published(scenario: Scenario, name: str, peer: TcpPeer) -> str:
    """Publish a source with a peer that is not connected yet. Returns the answer."""
    answer = await scenario.pool.publish(connection_id=name, source_id=name, offer=peer.offer("sendonly"))
    return answer.sdp


def tcp_port(scenario: Scenario) -> int:
    port = scenario.pool.tcp_port
    assert port is not None
    return port


async def test_peers_of_all_engines_connect_to_one_port() -> None:
    async with running_pool(processes=3, settings=SETTINGS) as scenario:
        assert scenario.pool.describe().endswith(f", TCP port {tcp_port(scenario)}")
        for name in "abcdef":
            peer = TcpPeer()
            answer = await published(scenario, name, peer)
            assert f" {tcp_port(scenario)} typ host tcptype passive" in answer
            await peer.connect(answer, tcp_port(scenario))
            await until(lambda name=name: Connected(connection_id=name) in scenario.facts)  # type: ignore[misc]  # mypy and defaults of lambdas
            peer.close()


async def test_a_connection_that_another_engine_accepts_is_handed_over() -> None:
    async with running_pool(processes=2, settings=SETTINGS) as scenario:
        first, peer, stranger = TcpPeer(), TcpPeer(), TcpPeer()
        await published(scenario, "on engine 0", first)
        answer = await published(scenario, "on engine 1", peer)
        peer.take_credentials(answer)
        peer._engine = stranger._engine = ("127.0.0.1", tcp_port(scenario))
        scenario.kill(1, signal.SIGSTOP)
        await peer.open_connection()
        await peer.send_datagram(peer.check_message())
        # Engine 0 accepts the connections in their order.
        await stranger.open_connection()
        await stranger.send_bytes(b"GET / HTTP/1.1\r\n")
        await stranger.wait_for_end()
        scenario.kill(1, signal.SIGCONT)
        await peer.check()
        await peer._complete_handshake()
        await until(lambda: Connected(connection_id="on engine 1") in scenario.facts)
        for each in (first, peer, stranger):
            each.close()


async def test_the_port_stays_when_an_engine_is_lost() -> None:
    async with running_pool(settings=SETTINGS) as scenario:
        port = tcp_port(scenario)
        peer, after = TcpPeer(), TcpPeer()
        await peer.connect(await published(scenario, "before", peer), port)
        await until(lambda: Connected(connection_id="before") in scenario.facts)
        scenario.kill()
        await scenario.wait_for_restart()
        await peer.wait_for_end()
        assert Closed(connection_id="before", cause=CloseCause.ENGINE_LOST) in scenario.facts
        await after.connect(await published(scenario, "after", after), port)
        await until(lambda: Connected(connection_id="after") in scenario.facts)
        for each in (peer, after):
            each.close()


async def test_the_port_is_bound_before_engines_that_start_on_demand() -> None:
    pool = EnginePool(SETTINGS, processes=1, on_demand=True)
    await pool.start()
    try:
        scenario = Scenario(pool)
        assert pool.describe() == f"127.0.0.1, UDP ports once somebody publishes, TCP port {tcp_port(scenario)}"
        peer = TcpPeer()
        await peer.connect(await published(scenario, "a", peer), tcp_port(scenario))
        peer.close()
    finally:
        await pool.stop()


async def test_the_error_for_a_port_in_use_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pool = EnginePool(EngineSettings(tcp_port=port), processes=1)
        with pytest.raises(WorkerStartError, match=f"127.0.0.1 TCP port {port}: Address already in use"):
            await pool.start()
    assert pool.engines[0].process_id is None


async def test_the_port_is_free_after_the_stop() -> None:
    async with running_pool(settings=SETTINGS) as scenario:
        port = tcp_port(scenario)
    socket.create_server(("127.0.0.1", port)).close()


async def test_without_tcp_the_answer_has_no_tcp_candidate() -> None:
    async with running_pool() as scenario:
        peer = TcpPeer()
        answer = await published(scenario, "a", peer)
        peer.close()
        assert scenario.pool.tcp_port is None
        assert "tcptype" not in answer
