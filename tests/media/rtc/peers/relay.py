"""A bad network on loopback: a UDP relay between one peer and the engine that loses packets in both directions."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any


class LossyRelay(asyncio.DatagramProtocol):
    """One side of the relay. What arrives goes out of the other side, to where that side's peer is, or is lost."""

    def __init__(self, randomness: random.Random, loss: float, target: tuple[str, int] | None) -> None:
        self.lost = self.passed = 0
        self.other: LossyRelay | None = None
        self._randomness = randomness
        self._loss = loss
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's own type is too narrow here
        """Keep the transport."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:  # noqa: ANN401 - an address of any family
        """Lose it or pass it on."""
        if self._target is None or self._target[0] != address[0] or self._target[1] != address[1]:
            self._target = address
        if self._randomness.random() < self._loss:
            self.lost += 1
        elif self.other is not None:
            self.passed += 1
            self.other.send(data)

    def send(self, data: bytes) -> None:
        """Send to this side's peer."""
        if self._transport is not None and self._target is not None:
            self._transport.sendto(data, self._target)


class Relay:
    """Both sides. Peers reach the engine by `port`."""

    def __init__(self, near: LossyRelay, far: LossyRelay, port: int) -> None:
        self.near, self.far, self.port = near, far, port

    @property
    def lost(self) -> int:
        """Packets lost in both directions."""
        return self.near.lost + self.far.lost


@contextlib.asynccontextmanager
async def lossy_relay(engine_port: int, *, loss: float, seed: int) -> AsyncIterator[Relay]:
    """A relay for one peer to 127.0.0.1:`engine_port`."""
    loop = asyncio.get_running_loop()
    randomness = random.Random(seed)
    near = LossyRelay(randomness, loss, None)
    far = LossyRelay(randomness, loss, ("127.0.0.1", engine_port))
    near.other, far.other = far, near
    near_transport, _ = await loop.create_datagram_endpoint(lambda: near, local_addr=("127.0.0.1", 0))
    far_transport, _ = await loop.create_datagram_endpoint(lambda: far, local_addr=("127.0.0.1", 0))
    try:
        yield Relay(near, far, near_transport.get_extra_info("sockname")[1])
    finally:
        near_transport.close()
        far_transport.close()
