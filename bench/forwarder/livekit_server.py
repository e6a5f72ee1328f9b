"""LiveKit as one of the measured servers: one node, publishers by WHIP, viewers by its client protocol.

The binary is the one that STAGEBOOK_BENCH_LIVEKIT names, `livekit-server` in PATH, or the one that `make test-livekit`
has built.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from websockets.asyncio.client import ClientConnection, connect

from bench.forwarder.forwarding_server import ForwardingServer
from bench.forwarder.livekit_messages import (
    Published,
    SectionsNeeded,
    ServerAnswer,
    ServerCandidate,
    join_parameter,
    read_message,
    write_offer_message,
    write_ping,
    write_subscription,
)
from bench.forwarder.running_peers import PeersProcess
from bench.forwarder.server_program import free_ports, running_program
from tests.go_programs import LIVEKIT

_KEY: Final = "bench"
_SECRET: Final = "a secret of the benchmark's own server"  # noqa: S105 - it lives as long as the measurement
_EXCHANGE_TIMEOUT_SECONDS: Final = 30.0
_PING_INTERVAL_SECONDS: Final = 5.0
_TRACKS: Final = 2


def livekit_binary() -> str | None:
    """The path of LiveKit's server; None if it is not installed."""
    named = os.environ.get("STAGEBOOK_BENCH_LIVEKIT") or shutil.which("livekit-server")
    return str(LIVEKIT.path) if named is None and LIVEKIT.path.exists() else named


class LiveKitServer(ForwardingServer):
    """A running node of LiveKit. A source is a room, and its publisher has the source's name as its identity."""

    name = "LiveKit"

    def __init__(self, process_id: int, port: int) -> None:
        self.process_id = process_id
        self._port = port
        self._viewers = 0
        self._pings: list[asyncio.Task[None]] = []

    async def add_publisher(self, peers: PeersProcess, source: str) -> None:
        """Connect a publisher by WHIP."""
        offer = await peers.make_offer(publishes=True)
        token = _token(room=source, identity=source, canPublish=True, canSubscribe=False)
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(timeout=_EXCHANGE_TIMEOUT_SECONDS) as client:
            response = await client.post(f"http://127.0.0.1:{self._port}/whip/v1", content=offer, headers=headers)
        response.raise_for_status()
        await peers.connect(response.text)

    async def add_viewer(self, peers: PeersProcess, source: str, *, is_timed: bool = False) -> None:
        """Connect a viewer by LiveKit's client protocol, with one peer connection that the viewer offers."""
        self._viewers += 1
        token = _token(
            room=source, identity=f"viewer {self._viewers}", canPublish=False, canSubscribe=True, hidden=True
        )
        parameters = f"access_token={token}&join_request={join_parameter()}"
        websocket = await connect(f"ws://127.0.0.1:{self._port}/rtc/v1?{parameters}")
        self._pings.append(asyncio.create_task(_keep_open(websocket)))
        offer = await peers.make_offer(publishes=False, is_timed=is_timed)
        async with asyncio.timeout(_EXCHANGE_TIMEOUT_SECONDS):
            answer = await _exchange(websocket, source, offer)
        await peers.connect(answer)

    def close(self) -> None:
        """Stop to keep the viewers' connections open."""
        for ping in self._pings:
            ping.cancel()


async def _exchange(websocket: ClientConnection, publisher: str, offer: str) -> str:
    """Subscribe to a publisher's tracks and return the server's answer with a candidate."""
    answer, candidate, needed, is_subscribed = "", "", 0, False
    while not (answer and ("a=candidate" in answer or candidate)):
        data = await websocket.recv()
        message = read_message(data) if isinstance(data, bytes) else None
        match message:
            case Published(tracks=tracks) if not is_subscribed and len(tracks.get(publisher, ())) == _TRACKS:
                is_subscribed = True
                await websocket.send(write_subscription(tracks[publisher]))
            case SectionsNeeded(count=count):
                needed += count
                if needed == _TRACKS:
                    await websocket.send(write_offer_message(offer))
            case ServerAnswer(sdp=sdp):
                answer = sdp
            case ServerCandidate(candidate=found) if " udp " in found:
                candidate = found
            case _:
                pass
    return answer + (f"a={candidate}\r\n" if candidate else "")


async def _keep_open(websocket: ClientConnection) -> None:
    with contextlib.suppress(Exception):
        while True:
            await asyncio.sleep(_PING_INTERVAL_SECONDS)
            await websocket.send(write_ping(int(time.time() * 1000)))


def _token(*, room: str, identity: str, **grants: bool) -> str:
    """An access token of LiveKit: a JSON web token with HMAC and SHA-256 (RFC 7519)."""
    now = int(time.time())
    video = {"roomJoin": True, "room": room, "canPublishData": False, **grants}
    claims = {"iss": _KEY, "sub": identity, "nbf": now - 5, "exp": now + 3_600, "video": video}
    parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signature = hmac.digest(_SECRET.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, _base64(signature)])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@asynccontextmanager
async def livekit_server(binary: str, folder: Path) -> AsyncIterator[LiveKitServer]:
    """Run a node on free ports of the loopback interface. Raises TimeoutError if it does not start."""
    port, tcp_port, udp_port = free_ports(3)
    settings = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "udp_port": udp_port,
            "tcp_port": tcp_port,
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "use_ice_lite": True,
            "interfaces": {"includes": ["lo"]},
            "stun_servers": [],
        },
        "keys": {_KEY: _SECRET},
        "logging": {"level": "error"},
    }
    path = folder / "livekit.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    async with running_program(binary, "--config", path.name, port=port, folder=folder) as process_id:
        server = LiveKitServer(process_id, port)
        yield server
        server.close()
