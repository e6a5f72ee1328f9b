"""The process of the publisher and the viewers, whose CPU time is not measured.

    python -m bench.forwarder.peers_process

It reads commands from its standard input and writes replies to its standard output, one JSON message per line.
"""

import asyncio
import sys
from typing import TypeAlias

import msgspec
import uvloop

from bench.figures import percentile
from bench.forwarder.peer import DtlsIdentity
from bench.forwarder.publisher_and_viewer import Publisher, TimedViewer, Viewer
from bench.forwarder.sdp import write_offer, write_viewer_answer_to


class MakeOffer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create a peer. The reply is an Offer. A timed viewer takes the delays of its packets. `sound` is that of a
    publisher (`Publisher`)."""

    publishes: bool
    is_timed: bool = False
    sound: tuple[bytes, ...] = ()


class MakeAnswer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create a viewer that answers the offer of a server. The reply is an Answer."""

    offer: str
    is_timed: bool = False


class Connect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Connect the peer that was created last, by the server's answer or offer. The reply is Connected."""

    description: str


class Count(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Count the packets of all viewers, once media has reached each of them. The reply is Counted."""


class TakeDelays(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Return the delays since the last TakeDelays. The reply is Delays."""


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The offer of the new peer."""

    sdp: str


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer of the new viewer."""

    sdp: str


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The peer is connected."""


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The totals of all viewers; see Totals."""

    received: int
    highest: int


class Delays(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How long the packets to all timed viewers were on their way."""

    p50_seconds: float
    p99_seconds: float
    count: int


PeerCommand: TypeAlias = MakeOffer | MakeAnswer | Connect | Count | TakeDelays
Reply: TypeAlias = Offer | Answer | Connected | Counted | Delays

command_decoder: msgspec.json.Decoder[PeerCommand] = msgspec.json.Decoder(PeerCommand)
reply_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class Peers:
    """The peers of this process."""

    def __init__(self) -> None:
        self._identity = DtlsIdentity()
        self._viewers: list[Viewer] = []
        self._newest: Publisher | Viewer

    async def handle(self, command: PeerCommand) -> Reply:
        """Execute a command and return its reply."""
        match command:
            case MakeOffer(publishes=publishes, is_timed=is_timed, sound=sound):
                if publishes:
                    self._newest = Publisher(self._identity, sound=sound)
                else:
                    self._newest = self._new_viewer(is_timed=is_timed)
                return Offer(sdp=write_offer(self._newest.local, sends=publishes))
            case MakeAnswer(offer=offer, is_timed=is_timed):
                self._newest = self._new_viewer(is_timed=is_timed)
                return Answer(sdp=write_viewer_answer_to(offer, self._newest.local))
            case Connect(description=description):
                await self._newest.connect(description)
                self._newest.start()
                if isinstance(self._newest, Viewer):
                    self._viewers.append(self._newest)
                return Connected()
            case Count():
                await asyncio.gather(*(viewer.media_flowing.wait() for viewer in self._viewers))
                totals = [viewer.totals() for viewer in self._viewers]
                return Counted(received=sum(one.received for one in totals), highest=sum(one.highest for one in totals))
            case TakeDelays():
                return self._take_delays()

    def _new_viewer(self, *, is_timed: bool) -> Viewer:
        return (TimedViewer if is_timed else Viewer)(self._identity)

    def _take_delays(self) -> Delays:
        delays: list[float] = []
        for viewer in self._viewers:
            if isinstance(viewer, TimedViewer):
                delays += viewer.delays
                viewer.delays.clear()
        return Delays(p50_seconds=percentile(delays, 50), p99_seconds=percentile(delays, 99), count=len(delays))


async def serve() -> None:
    """Execute commands until the input ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    peers = Peers()
    while line := await reader.readline():
        reply = await peers.handle(command_decoder.decode(line))
        sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(serve())
