"""Media over TCP through a forwarder, and the limits for strangers. Real sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from stagebook.media.port import CloseCause, Closed, Connected
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.ice.tcp_connection import MAX_QUEUED_VIDEO_BYTES, TcpConnection
from stagebook.media.rtc.ice.tcp_framing import write_frames
from stagebook.media.rtc.transport import tcp_connections
from stagebook.media.rtc.transport.demultiplexer import MAX_ADDRESSES_PER_CONNECTION
from stagebook.media.rtc.transport.shared_transport import TCP_CONNECTIONS_PER_PEER
from stagebook.media.rtc.transport.tcp_connections import (
    FIRST_CHECK_SECONDS,
    IDLE_SECONDS,
    MAX_UNVERIFIED_PER_NETWORK,
)
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics
from tests.media.rtc.packets import rtp, vp8_delta
from tests.media.rtc.raw_peer import VIDEO_PAYLOAD_TYPE
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video, wait_until
from tests.media.rtc.tcp_peer import TcpPeer

SETTINGS = EngineSettings(tcp_port=0)


@pytest_asyncio.fixture(name="engine")
async def engine_fixture() -> AsyncIterator[RunningEngine]:
    async with running_engine(SETTINGS) as engine:
        yield engine


def statistics(engine: RunningEngine) -> TransportStatistics:
    return engine.forwarder.statistics(cpu_seconds=0.0).transport


def open_connections(engine: RunningEngine) -> int:
    return engine.forwarder.statistics(cpu_seconds=0.0).tcp_connections


def verified(engine: RunningEngine) -> list[TcpConnection]:
    connections = engine.forwarder._transport._tcp
    assert connections is not None
    return list(connections._verified)


async def stranger(engine: RunningEngine) -> TcpPeer:
    """A peer that is connected to the TCP port and has sent nothing."""
    peer = engine.tcp_peer()
    peer._engine = ("127.0.0.1", engine.tcp_port)
    await peer.open_connection()
    return peer


async def send_video(engine: RunningEngine, publisher: TcpPeer, viewer: TcpPeer) -> None:
    first = await start_video(engine, publisher, viewer)
    await publisher.send_rtp(
        rtp(vp8_delta(), sequence=11, timestamp=12_000, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE)
    )
    second = await viewer.receive_rtp()
    assert (second.sequence - first.sequence, second.payload) == (1, vp8_delta())


async def tcp_publisher(engine: RunningEngine) -> TcpPeer:
    peer = engine.tcp_peer()
    answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=peer.offer("sendonly"))
    await peer.connect(answer.sdp, engine.tcp_port)
    return peer


async def test_a_publisher_and_a_viewer_use_tcp_alone(engine: RunningEngine) -> None:
    publisher = await tcp_publisher(engine)
    viewer = await engine.tcp_viewer()
    await send_video(engine, publisher, viewer)
    await viewer.send_close_notify()
    await engine.wait_for(Closed(connection_id="v", cause=CloseCause.PEER_CLOSED))


async def test_tcp_and_udp_peers_watch_each_other(engine: RunningEngine) -> None:
    publisher = await engine.publisher()
    await send_video(engine, publisher, await engine.tcp_viewer())  # type: ignore[arg-type]  # any raw peer


async def test_a_path_over_tcp_takes_over_when_udp_is_blocked(engine: RunningEngine) -> None:
    publisher = await engine.publisher()
    viewer = await engine.viewer()
    await start_video(engine, publisher, viewer)
    over_tcp = engine.tcp_peer()
    over_tcp._engine = ("127.0.0.1", engine.tcp_port)
    over_tcp.server_ufrag, over_tcp.server_pwd, over_tcp.ufrag = viewer.server_ufrag, viewer.server_pwd, viewer.ufrag
    over_tcp._inbound = viewer._inbound
    viewer.close()
    await over_tcp.open_connection()
    await over_tcp.check(nominate=True)
    packet = rtp(vp8_delta(), sequence=11, timestamp=12_000, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE)
    await publisher.send_rtp(packet)
    assert (await over_tcp.receive_rtp()).payload == vp8_delta()


async def test_media_goes_on_over_a_new_connection_when_the_first_one_breaks(engine: RunningEngine) -> None:
    publisher = await engine.publisher()
    viewer = await engine.tcp_viewer()
    await start_video(engine, publisher, viewer)
    viewer.close()
    await wait_until(lambda: open_connections(engine) == 0, "the end of the connection")
    await viewer.open_connection()
    await viewer.check(nominate=False)
    packet = rtp(vp8_delta(), sequence=11, timestamp=12_000, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE)
    await publisher.send_rtp(packet)
    assert (await viewer.receive_rtp()).payload == vp8_delta()
    assert Closed(connection_id="v", cause=CloseCause.CONSENT_LOST) not in engine.facts


async def test_a_closed_peer_has_no_tcp_connection_any_more(engine: RunningEngine) -> None:
    await engine.publisher()
    viewer = await engine.tcp_viewer()
    await engine.wait_for(Connected(connection_id="v"))
    engine.forwarder.close(connection_id="v")
    await viewer.wait_for_end()
    assert open_connections(engine) == 0


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        write_frames([b"\x80\x60" + bytes(30)]),
        write_frames([bytes(20)]),
        write_frames([b"\x16\xfe\xfd" + bytes(30)]),
    ],
    ids=["http", "tls", "rtp", "not-stun", "dtls"],
)
async def test_a_stranger_that_does_not_begin_with_a_check_is_cut_off(engine: RunningEngine, first: bytes) -> None:
    peer = await stranger(engine)
    await peer.send_bytes(first)
    await peer.wait_for_end()
    assert statistics(engine).verified_tcp_connections == 0


async def test_a_check_with_a_wrong_password_ends_the_connection(engine: RunningEngine) -> None:
    publisher = await engine.publisher()
    peer = await stranger(engine)
    peer.server_ufrag = publisher.server_ufrag
    await peer.send_datagram(peer.check_message(password="wrong" * 5))
    await peer.wait_for_end()
    assert statistics(engine).refused_tcp_connections == 1
    assert statistics(engine).verified_tcp_connections == 0


async def test_the_fragment_of_an_engine_that_does_not_exist_ends_the_connection(engine: RunningEngine) -> None:
    peer = await stranger(engine)
    peer.server_ufrag, peer.server_pwd = "Babc", "p" * 24
    await peer.send_datagram(peer.check_message())
    await peer.wait_for_end()


async def test_a_connection_without_a_check_is_closed_after_a_while(engine: RunningEngine) -> None:
    silent, slow = await stranger(engine), await stranger(engine)
    await slow.send_bytes(b"\0")
    await wait_until(lambda: open_connections(engine) == 2, "the connections")
    engine.skipped_seconds += FIRST_CHECK_SECONDS + 1
    await silent.wait_for_end()
    await slow.wait_for_end()


async def test_an_idle_connection_is_closed() -> None:
    async with running_engine(EngineSettings(tcp_port=0, consent_timeout_seconds=1_000)) as engine:
        await engine.publisher()
        viewer = await engine.tcp_viewer()
        idle = viewer.socket
        await viewer.open_connection()
        engine.skipped_seconds += IDLE_SECONDS - 1
        await viewer.check()
        engine.skipped_seconds += 2
        await wait_until(lambda: open_connections(engine) == 1, "the end of the idle connection")
        await viewer.check()
        viewer.socket = idle
        await viewer.wait_for_end()


async def test_one_network_has_a_limited_number_of_unverified_connections(engine: RunningEngine) -> None:
    peers = [await stranger(engine) for _ in range(MAX_UNVERIFIED_PER_NETWORK + 1)]
    await peers[-1].wait_for_end()
    assert open_connections(engine) == MAX_UNVERIFIED_PER_NETWORK
    # An honest peer of another network is served; one of this network has to wait.
    assert statistics(engine).refused_tcp_connections == 1


async def test_the_oldest_stranger_makes_room_at_the_limit_of_all(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_connections, "MAX_UNVERIFIED", 3)
    peers = [await stranger(engine) for _ in range(3)]
    await wait_until(lambda: open_connections(engine) == 3, "the connections")
    await engine.publisher()
    await engine.tcp_viewer()
    await peers[0].wait_for_end()
    assert statistics(engine).verified_tcp_connections == 1
    assert open_connections(engine) == 3


async def test_a_peer_has_a_limited_number_of_connections(engine: RunningEngine) -> None:
    await engine.publisher()
    viewer = await engine.tcp_viewer()
    for _ in range(MAX_ADDRESSES_PER_CONNECTION):
        await viewer.open_connection()
        await viewer.check(nominate=False)
    await wait_until(lambda: open_connections(engine) == MAX_ADDRESSES_PER_CONNECTION, "the end of the oldest")


async def test_a_peer_with_many_connections_makes_room_for_one_with_few() -> None:
    async with running_engine(EngineSettings(tcp_port=0, max_connections=3)) as engine:
        publisher = await engine.publisher()
        greedy = await engine.tcp_viewer("greedy")
        oldest = greedy.socket
        for _ in range(3 * TCP_CONNECTIONS_PER_PEER - 1):
            await greedy.open_connection()
            await greedy.check(nominate=False)
        await start_video(engine, publisher, await engine.tcp_viewer())
        assert open_connections(engine) == 3 * TCP_CONNECTIONS_PER_PEER
        greedy.socket = oldest
        await greedy.wait_for_end()


async def test_a_viewer_that_reads_nothing_does_not_disturb_another(engine: RunningEngine) -> None:
    publisher = await engine.publisher()
    slow, viewer = await engine.tcp_viewer("slow"), await engine.tcp_viewer()
    first = await start_video(engine, publisher, viewer)
    (connection,) = [each for each in verified(engine) if each.address == slow.socket.getsockname()]
    frame = vp8_delta() + bytes(1_100)
    number = 0
    while not connection.dropped_packets:
        number += 1
        packet = rtp(frame, sequence=10 + number, timestamp=9_000, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE)
        await publisher.send_rtp(packet)
        received = await viewer.receive_rtp()
        assert (received.sequence - first.sequence) & 0xFFFF == number
    assert connection.queued_bytes <= MAX_QUEUED_VIDEO_BYTES + 2
    # The slow one is still connected: it finds the next frame when it reads on.
    await slow.check()


async def test_a_viewer_is_reached_over_ipv6() -> None:
    async with running_engine(EngineSettings(bind_addresses=("127.0.0.1", "::1"), tcp_port=0)) as engine:
        publisher = await engine.publisher()
        viewer = await engine.tcp_viewer(host="::1")
        await start_video(engine, publisher, viewer)


async def test_an_error_with_one_peer_does_not_stop_another(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await engine.publisher()
    broken, viewer = await engine.tcp_viewer("broken"), await engine.tcp_viewer()
    entry = engine.forwarder._connections.get("broken")
    assert entry is not None

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(entry.peer, "receive_media", fail)
    await broken.send_rtcp(bytes.fromhex("80c90001 00000001"))
    await start_video(engine, publisher, viewer)
    await broken.check()


async def test_stopping_closes_all_connections() -> None:
    async with running_engine(SETTINGS) as engine:
        await engine.publisher()
        viewer, other = await engine.tcp_viewer(), await stranger(engine)
        await wait_until(lambda: open_connections(engine) == 2, "the connections")
        await engine.forwarder.stop()
        await asyncio.gather(viewer.wait_for_end(), other.wait_for_end())
