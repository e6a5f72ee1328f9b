"""The benchmark's end of a process of publishers or viewers (`peers_process`)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from bench.forwarder.peers_process import (
    Answer,
    Connect,
    Connected,
    Count,
    Counted,
    Delays,
    MakeAnswer,
    MakeOffer,
    Offer,
    PeerCommand,
    Reply,
    TakeDelays,
    reply_decoder,
)

_REPLY_TIMEOUT_SECONDS = 60.0


class PeersProcess:
    """A process of publishers or viewers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def make_offer(self, *, publishes: bool, is_timed: bool = False, sound: tuple[bytes, ...] = ()) -> str:
        """Create a peer and return its offer."""
        reply = await self._request(MakeOffer(publishes=publishes, is_timed=is_timed, sound=sound))
        assert isinstance(reply, Offer)
        return reply.sdp

    async def make_answer(self, offer: str, *, is_timed: bool = False) -> str:
        """Create a viewer and return its answer to the offer of a server."""
        reply = await self._request(MakeAnswer(offer=offer, is_timed=is_timed))
        assert isinstance(reply, Answer)
        return reply.sdp

    async def connect(self, description: str) -> None:
        """Connect the peer that was created last, by the server's answer or offer. Raises TimeoutError."""
        assert isinstance(await self._request(Connect(description=description)), Connected)

    async def count(self) -> Counted:
        """Return the totals of the viewers so far, once media has reached each of them."""
        reply = await self._request(Count())
        assert isinstance(reply, Counted)
        return reply

    async def take_delays(self) -> Delays:
        """Return the delays of the timed viewers' packets since the last call."""
        reply = await self._request(TakeDelays())
        assert isinstance(reply, Delays)
        return reply

    async def _request(self, command: PeerCommand) -> Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        async with asyncio.timeout(_REPLY_TIMEOUT_SECONDS):
            return reply_decoder.decode(await self._process.stdout.readline())


@asynccontextmanager
async def running_peers() -> AsyncIterator[PeersProcess]:
    """Start a process without peers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.forwarder.peers_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield PeersProcess(process)
    finally:
        process.terminate()
        await process.wait()
