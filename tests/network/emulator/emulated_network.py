"""An emulated network between peers and a server on this machine: UDP relays in a process of their own.

    async with emulated_network() as network:
        relay = await network.relay("127.0.0.1", port, to_peer=LinkConditions(bitrate_bps=1_000_000), seed=1)
        # point a peer at relay.port
        await relay.change(to_peer=LinkConditions(bitrate_bps=600_000))
        print((await relay.report()).to_peer.total)

The peers know no proxies for UDP, so a test replaces the server's port in the candidates of the SDP answer with that
of the relay (`through_relay`).
"""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import msgspec

from tests.network.emulator.link_conditions import LinkConditions
from tests.network.emulator.relay_commands import (
    ChangeRelay,
    CloseRelay,
    OpenRelay,
    ReadRelay,
    RebindRelay,
    RelayAnswer,
    RelayCommand,
)

ROOT = Path(__file__).parents[3]
MAX_LINE_BYTES = 16 * 1024 * 1024
_CANDIDATE = re.compile(r"(?m)^(a=candidate:\S+ 1 udp \d+ (\S+)) (\d+) typ host", re.IGNORECASE)
_TCP_CANDIDATE = re.compile(r"(?mi)^a=candidate:\S+ 1 tcp .*\r?\n")


class NetworkRelay:
    """One relay. The peer reaches the server by `port`."""

    def __init__(self, network: "EmulatedNetwork", name: str, port: int) -> None:
        self._network = network
        self._name = name
        self.port = port

    async def change(self, *, to_server: LinkConditions | None = None, to_peer: LinkConditions | None = None) -> None:
        """Use other conditions from now on. None: the direction stays as it is."""
        await self._network.call(ChangeRelay(name=self._name, to_server=to_server, to_peer=to_peer))

    async def rebind(self) -> None:
        """Reach the server from another port, like a NAT that has forgotten its mapping. What the server sends to the
        former port is lost."""
        await self._network.call(RebindRelay(name=self._name))

    async def report(self) -> RelayAnswer:
        """The counters of both directions since the relay exists."""
        return await self._network.call(ReadRelay(name=self._name))

    async def close(self) -> None:
        """Close the relay, as if the network were gone."""
        await self._network.call(CloseRelay(name=self._name))


class EmulatedNetwork:
    """The relay process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._names = count()
        self._decoder = msgspec.json.Decoder(RelayAnswer)
        self._lock = asyncio.Lock()

    async def relay(
        self,
        host: str,
        port: int,
        *,
        to_server: LinkConditions | None = None,
        to_peer: LinkConditions | None = None,
        seed: int = 1,
    ) -> NetworkRelay:
        """Open a relay for one peer to a server's UDP port. A direction without conditions passes everything."""
        name = str(next(self._names))
        answer = await self.call(
            OpenRelay(
                name=name,
                host=host,
                port=port,
                to_server=to_server or LinkConditions(),
                to_peer=to_peer or LinkConditions(),
                seed=seed,
            )
        )
        return NetworkRelay(self, name, answer.port)

    async def call(self, command: RelayCommand) -> RelayAnswer:
        """Let the process carry out a command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")
            await self._process.stdin.drain()
            return self._decoder.decode(await self._process.stdout.readline())


@contextlib.asynccontextmanager
async def emulated_network() -> AsyncIterator[EmulatedNetwork]:
    """Run the relay process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.network.emulator.relay_process"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
    )
    try:
        yield EmulatedNetwork(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def media_address(answer: str) -> tuple[str, int]:
    """Return the address and the UDP port of the first candidate of an SDP answer."""
    match = _CANDIDATE.search(answer)
    assert match is not None, answer
    return match[2], int(match[3])


def through_relay(answer: str, relay: NetworkRelay, *, keep_tcp: bool = False) -> str:
    """Return an SDP answer with the relay's port in place of the server's UDP port.

    Candidates of ICE-TCP would lead around the relay, so they are left out, but for `keep_tcp`.
    """
    if not keep_tcp:
        answer = _TCP_CANDIDATE.sub("", answer)
    return _CANDIDATE.sub(rf"\1 {relay.port} typ host", answer)
