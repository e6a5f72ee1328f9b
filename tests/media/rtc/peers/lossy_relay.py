"""A lossy network on loopback: a UDP relay between one peer and the engine that drops packets in both directions."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any


class RelaySide(asyncio.DatagramProtocol):
    """One socket of the relay. A datagram that arrives is dropped, or is sent from the other socket to its peer."""

    def __init__(self, randomness: random.Random, loss: float, target: tuple[str, int] | None) -> None:
        """`loss` is the probability of a drop. `target` is this side's peer; None until its first datagram."""
        self.dropped = self.passed = 0
        self.other: RelaySide | None = None
        self._randomness = randomness
        self._loss = loss
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None

    async def bind(self) -> int:
        """Use a new socket, on a free port, and close the previous one. Returns the port."""
        self.close()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, address: Any) -> None:  # noqa: ANN401 - an address of any family
        """Drop the datagram or pass it on. The peer's address may change."""
        if self._target is None or self._target[0] != address[0] or self._target[1] != address[1]:
            self._target = address
        if self._randomness.random() < self._loss:
            self.dropped += 1
        elif self.other is not None:
            self.passed += 1
            self.other.send(data)

    def send(self, data: bytes) -> None:
        """Send to this side's peer."""
        if self._transport is not None and self._target is not None:
            self._transport.sendto(data, self._target)


class LossyRelay:
    """Both sides. The peer reaches the engine by `port`."""

    def __init__(self, peer_side: RelaySide, engine_side: RelaySide, port: int) -> None:
        self.peer_side, self.engine_side, self.port = peer_side, engine_side, port

    @property
    def dropped(self) -> int:
        """Packets dropped in both directions."""
        return self.peer_side.dropped + self.engine_side.dropped

    async def rebind(self) -> None:
        """Reach the engine from another port, like a NAT that has forgotten its mapping. What the engine sends to the
        previous port is lost."""
        await self.engine_side.bind()


@contextlib.asynccontextmanager
async def lossy_relay(engine_port: int, *, loss: float, seed: int) -> AsyncIterator[LossyRelay]:
    """Run a relay for one peer to 127.0.0.1:`engine_port`."""
    randomness = random.Random(seed)
    peer_side = RelaySide(randomness, loss, None)
    engine_side = RelaySide(randomness, loss, ("127.0.0.1", engine_port))
    peer_side.other, engine_side.other = engine_side, peer_side
    port = await peer_side.bind()
    await engine_side.bind()
    try:
        yield LossyRelay(peer_side, engine_side, port)
    finally:
        peer_side.close()
        engine_side.close()
