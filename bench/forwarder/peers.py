"""The peers' process, so that what they cost is not counted: told over its standard input, answers on its output.

    python -m bench.forwarder.peers

Each line is one JSON message.
"""

import asyncio
import sys
from typing import TypeAlias

import msgspec
import uvloop

from bench.forwarder.ends import Publisher, Viewer
from bench.forwarder.peer import Identity
from bench.forwarder.sdp import write_offer


class MakeOffer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make a new peer. Replied to by an Offer."""

    publishes: bool


class Connect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Connect the peer made last. Replied to by Connected."""

    answer: str


class Count(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Say what all viewers got so far, once media has reached each of them. Replied to by Counted."""


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The new peer's offer."""

    sdp: str


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The peer is connected."""


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All viewers' counts added up; see Totals."""

    received: int
    highest: int


Order: TypeAlias = MakeOffer | Connect | Count
Reply: TypeAlias = Offer | Connected | Counted

orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class Peers:
    """All peers of this process."""

    def __init__(self) -> None:
        self._identity = Identity()
        self._viewers: list[Viewer] = []
        self._newest: Publisher | Viewer

    async def obey(self, order: Order) -> Reply:
        """Carry out one order."""
        match order:
            case MakeOffer(publishes=publishes):
                self._newest = Publisher(self._identity) if publishes else Viewer(self._identity)
                return Offer(sdp=write_offer(self._newest.local, sends=publishes))
            case Connect(answer=answer):
                await self._newest.connect(answer)
                self._newest.start()
                if isinstance(self._newest, Viewer):
                    self._viewers.append(self._newest)
                return Connected()
            case Count():
                await asyncio.gather(*(viewer.flowing.wait() for viewer in self._viewers))
                totals = [viewer.totals() for viewer in self._viewers]
                return Counted(received=sum(one.received for one in totals), highest=sum(one.highest for one in totals))


async def serve() -> None:
    """Obey until the input ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    peers = Peers()
    while line := await reader.readline():
        reply = await peers.obey(orders.decode(line))
        sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(serve())
