"""A forwarder in the test's process, for raw peers. It records the reported facts; the test can advance its clock."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Callable

from stagebook.media.port import Connected, MediaFact
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.ice.tcp_listener import bind_tcp_listeners
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.forwarder import Forwarder
from stagebook.media.rtc.transport.tcp_connections import TcpSockets
from tests.media.rtc.packets import rtp, vp8_keyframe
from tests.media.rtc.raw_peer import VIDEO_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.tcp_peer import TcpPeer

DEADLINE_SECONDS = 30.0
"""Long, because the machine may be busy. A test that passes never waits for it."""


async def wait_until(condition: Callable[[], bool], description: str) -> None:
    """Wait until a condition holds. Raises TimeoutError with the description."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(description)
        await asyncio.sleep(0.01)


class RunningEngine:
    """A forwarder and its reported facts."""

    def __init__(self, settings: EngineSettings) -> None:
        self.facts: list[MediaFact] = []
        self.skipped_seconds = 0.0
        """What a test adds to the forwarder's clock."""
        self._peers: list[RawPeer] = []
        self._listeners: list[socket.socket] = []
        if settings.tcp_port is not None:
            self._listeners = bind_tcp_listeners(settings.bind_addresses, settings.tcp_port)
        self.forwarder = Forwarder(
            settings,
            on_fact=self.facts.append,
            clock=lambda: time.monotonic() + self.skipped_seconds,
            wall_clock=time.time,
            randomness=random.SystemRandom(),
            tcp=TcpSockets(listeners=self._listeners) if self._listeners else None,
        )

    async def wait_for(self, fact: MediaFact) -> None:
        """Wait until this fact has been reported."""
        await wait_until(lambda: fact in self.facts, f"{fact} in {self.facts[-5:]}")

    def raw_peer(self, host: str = "127.0.0.1", **options: object) -> RawPeer:
        """Make a raw peer that is not connected, with the options of RawPeer. Its socket is closed with the engine."""
        peer = RawPeer(host, **options)  # type: ignore[arg-type]  # handed through
        self._peers.append(peer)
        return peer

    async def publisher(self, connection_id: str = "p", **offer: object) -> RawPeer:
        """Connect a raw peer that publishes `source`. The keyword arguments are those of RawPeer.offer."""
        peer = self.raw_peer()
        answer = self.forwarder.publish(
            connection_id=connection_id,
            source_id="source",
            offer=peer.offer("sendonly", **offer),  # type: ignore[arg-type]  # handed through
        )
        await peer.connect(answer.sdp, self.forwarder.udp_port)
        return peer

    async def viewer(self, connection_id: str = "v", **offer: object) -> RawPeer:
        """Connect a raw peer that watches `source`. The keyword arguments are those of RawPeer.offer."""
        peer = self.raw_peer()
        answer = self.forwarder.subscribe(
            connection_id=connection_id,
            source_id="source",
            offer=peer.offer("recvonly", **offer),  # type: ignore[arg-type]  # handed through
        )
        await peer.connect(answer.sdp, self.forwarder.udp_port)
        return peer

    @property
    def tcp_port(self) -> int:
        """The TCP port; IndexError for an engine without TCP."""
        return int(self._listeners[0].getsockname()[1])

    def tcp_peer(self, host: str = "127.0.0.1") -> TcpPeer:
        """Make a raw peer over TCP that is not connected."""
        peer = TcpPeer(host)
        self._peers.append(peer)
        return peer

    async def tcp_viewer(self, connection_id: str = "v", *, host: str = "127.0.0.1") -> TcpPeer:
        """Connect a raw peer over TCP that watches `source`."""
        peer = self.tcp_peer(host)
        answer = self.forwarder.subscribe(connection_id=connection_id, source_id="source", offer=peer.offer("recvonly"))
        await peer.connect(answer.sdp, self.tcp_port)
        return peer

    def close_sockets(self) -> None:
        """Close the sockets of all raw peers, and the listening ones."""
        for peer in self._peers:
            peer.close()
        for listener in self._listeners:
            listener.close()


@contextlib.asynccontextmanager
async def running_engine(settings: EngineSettings | None = None) -> AsyncIterator[RunningEngine]:
    """Run an engine on a loopback port that the system chooses."""
    engine = RunningEngine(settings or EngineSettings())
    await engine.forwarder.start()
    try:
        yield engine
    finally:
        await engine.forwarder.stop()
        engine.close_sockets()


SSRC = 1000
"""The publisher's SSRC of the video that `start_video` sends."""


async def start_video(engine: RunningEngine, publisher: RawPeer, viewer: RawPeer) -> RtpPacket:
    """Send a keyframe with sequence number 10 once the viewer `v` is connected. Returns the viewer's first packet."""
    await wait_until(lambda: Connected(connection_id="v") in engine.facts, "the viewer's connection")
    await publisher.send_rtp(
        rtp(vp8_keyframe(), sequence=10, timestamp=9000, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE)
    )
    return await viewer.receive_rtp()
