"""Janus as one of the measured servers: its VideoRoom plugin, with publishers and viewers by its websocket API.

The binary is the one that STAGEBOOK_BENCH_JANUS names, or `janus` in PATH, where Debian's package puts it.

By default Janus has a thread for each connection. With `event_loops` it has so many threads for all connections.

Janus takes no loopback address for media (`janus_ice_setup_local` in its ice.c). Its candidates have the addresses of
the machine. The kernel delivers packets to these addresses on the loopback interface, too.
"""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from websockets.asyncio.client import connect

from bench.forwarder.forwarding_server import ForwardingServer
from bench.forwarder.janus_session import SUBPROTOCOL, Description, JanusSession
from bench.forwarder.running_peers import PeersProcess
from bench.forwarder.server_program import free_ports, running_program

_CORE: Final = """general: {{
    debug_level = 2
    debug_colors = false
    session_timeout = 0
    event_loops = {event_loops}
}}
nat: {{
    ice_lite = true
}}
plugins: {{
    disable = "{plugins}"
}}
transports: {{
    disable = "{transports}"
}}
loggers: {{
    disable = "libjanus_jsonlog.so"
}}
"""
_WEBSOCKETS: Final = """general: {{
    ws = true
    ws_port = {port}
    ws_ip = "127.0.0.1"
}}
"""
_VIDEO_ROOMS: Final = """general: {
    string_ids = true
}
"""
_UNUSED_PLUGINS: Final = (
    *("audiobridge", "duktape", "echotest", "lua", "nosip", "recordplay"),
    *("sip", "streaming", "textroom", "videocall", "voicemail"),
)
_UNUSED_TRANSPORTS: Final = ("http", "mqtt", "nanomsg", "pfunix", "rabbitmq")
_ROOM: Final = {
    "publishers": 1,
    "bitrate": 0,
    "fir_freq": 0,
    "audiocodec": "opus",
    "videocodec": "h264",
    "h264_profile": "42e01f",
    "audiolevel_ext": False,
    "videoorient_ext": False,
    "playoutdelay_ext": False,
    "transport_wide_cc_ext": False,
    "notify_joining": False,
}
"""A room without a limit of the bitrate and without work that the other servers do not have."""


def janus_binary() -> str | None:
    """The path of Janus; None if it is not installed."""
    return os.environ.get("STAGEBOOK_BENCH_JANUS") or shutil.which("janus")


class JanusServer(ForwardingServer):
    """A running Janus. A source is a room, and its publisher has the source's name as its id."""

    def __init__(self, name: str, process_id: int, session: JanusSession) -> None:
        self.name = name
        self.process_id = process_id
        self._session = session

    async def add_publisher(self, peers: PeersProcess, source: str) -> None:
        """Create a room and connect a publisher, whose offer Janus answers."""
        handle = await self._session.attach()
        await self._session.send(handle, {"request": "create", "room": source, **_ROOM})
        offer = Description(type="offer", sdp=await peers.make_offer(publishes=True))
        joined = {"request": "joinandconfigure", "ptype": "publisher", "room": source, "id": source}
        await peers.connect(await self._session.send(handle, joined, offer))
        await self._session.wait_until_connected(handle)  # only then is there a feed

    async def add_viewer(self, peers: PeersProcess, source: str, *, is_timed: bool = False) -> None:
        """Connect a viewer, which answers the offer of Janus."""
        handle = await self._session.attach()
        joined = {"request": "join", "ptype": "subscriber", "room": source, "streams": [{"feed": source}]}
        offer = await self._session.send(handle, joined)
        answer = Description(type="answer", sdp=await peers.make_answer(offer, is_timed=is_timed))
        await self._session.send(handle, {"request": "start"}, answer)
        await peers.connect(offer)


@asynccontextmanager
async def janus_server(binary: str, folder: Path, *, event_loops: int = 0) -> AsyncIterator[JanusServer]:
    """Run Janus with its API on a free port of the loopback interface. Raises TimeoutError if it does not start.

    With `event_loops` = 0 it has a thread for each connection.
    """
    (port,) = free_ports(1)
    core = _CORE.format(
        event_loops=event_loops, plugins=_libraries(_UNUSED_PLUGINS), transports=_libraries(_UNUSED_TRANSPORTS)
    )
    (folder / "janus.jcfg").write_text(core, encoding="utf-8")
    (folder / "janus.transport.websockets.jcfg").write_text(_WEBSOCKETS.format(port=port), encoding="utf-8")
    (folder / "janus.plugin.videoroom.jcfg").write_text(_VIDEO_ROOMS, encoding="utf-8")
    async with (
        running_program(binary, "--configs-folder", ".", port=port, folder=folder) as process_id,
        connect(f"ws://127.0.0.1:{port}", subprotocols=[SUBPROTOCOL], max_queue=None) as websocket,
    ):
        session = JanusSession(websocket)
        await session.start()
        yield JanusServer(f"Janus, {event_loops} event loops" if event_loops else "Janus", process_id, session)


def _libraries(names: Sequence[str]) -> str:
    return ",".join(f"libjanus_{name}.so" for name in names)
