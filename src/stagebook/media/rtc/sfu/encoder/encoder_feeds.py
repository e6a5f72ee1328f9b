"""What encoders feed into one engine: the tickets that let them in, their connections, and the sources they make.

Knows the caller's ids. That an encoder's connection is over is told by whoever holds it, not here.
"""

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from stagebook.media.media_bus import FeedTicket, Hello, Unit
from stagebook.media.port import Connected, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_source import EncoderSource
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, FeedServer
from stagebook.media.rtc.sfu.encoder.replay_pacer import Pacer
from stagebook.media.rtc.sfu.source import Source

MAX_PARAMETERS_CHARACTERS: Final = 256
_TOKEN_BITS: Final = 192


class _Admitted(msgspec.Struct, kw_only=True):
    """One connection that may feed a source."""

    source_id: str
    is_redundant: bool
    token: str
    opened_at: float
    source: EncoderSource | None = None
    """Since its Hello."""


class Feeds:
    """The fed side of a forwarder."""

    def __init__(
        self,
        sources: dict[str, Source],
        *,
        hear: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
        call_later: Callable[[float, Callable[[], None]], object],
        ticket_seconds: float,
    ) -> None:
        """`sources` is the forwarder's table: a fed source is in it from its first Hello on. `ticket_seconds`: how long
        a ticket that nobody uses is good."""
        self._sources = sources
        self._hear = hear
        self._clock = clock
        self._wall_clock = wall_clock
        self._randomness = randomness
        self._ticket_seconds = ticket_seconds
        self._pacer = Pacer(call_later=call_later, clock=clock)
        self._server = FeedServer(self, clock=clock, randomness=randomness)
        self._admitted: dict[str, _Admitted] = {}
        """By connection id."""
        self._tickets: dict[str, str] = {}
        """Unused tokens, with the connection id that they open."""

    def __len__(self) -> int:
        """How many connections there are, with those that have only a ticket."""
        return len(self._admitted)

    async def start(self, directory: str) -> None:
        """Listen in a private folder. Raises OSError."""
        await self._server.start(directory)

    async def stop(self) -> None:
        """Hang up on all."""
        self._pacer.clear()
        await self._server.stop()

    # The forwarder's commands

    def open(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Let a connection feed a source. Raises MediaRefusedError (BUSY), ValueError for an id that is in use."""
        if connection_id in self._admitted:
            raise ValueError(f"connection {connection_id} exists")
        if self._server.path is None:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="this engine takes no feeds")
        if not isinstance(self._sources.get(source_id), EncoderSource | None):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the source is published by WebRTC")
        token = f"{self._randomness.getrandbits(_TOKEN_BITS):048x}"
        self._admitted[connection_id] = _Admitted(
            source_id=source_id, is_redundant=is_redundant, token=token, opened_at=self._clock()
        )
        self._tickets[token] = connection_id
        return FeedTicket(path=self._server.path, token=token)

    def close(self, connection_id: str) -> bool:
        """End one connection. False if it was unknown."""
        admitted = self._admitted.pop(connection_id, None)
        if admitted is None:
            return False
        self._tickets.pop(admitted.token, None)
        self._server.hang_up(connection_id)
        if admitted.source is not None:
            admitted.source.remove(connection_id)
        return True

    def end_source(self, source_id: str) -> None:
        """End all connections that feed a source, or that could."""
        for connection_id, admitted in list(self._admitted.items()):
            if admitted.source_id == source_id:
                self.close(connection_id)

    def sweep(self, now: float) -> None:
        """Forget tickets that nobody used."""
        for connection_id in list(self._tickets.values()):
            if now - self._admitted[connection_id].opened_at > self._ticket_seconds:
                self.close(connection_id)

    # FeedListener

    def feed_opened(self, hello: Hello, now: float) -> str:
        """A feed says Hello: its ticket is used up, and its source is there for viewers."""
        connection_id = self._tickets.pop(hello.token, None)
        if connection_id is None:
            raise FeedRefusedError("its token is unknown or used up")
        admitted = self._admitted[connection_id]
        source = self._sources.get(admitted.source_id)
        if not isinstance(source, EncoderSource | None) or len(hello.video_parameters) > MAX_PARAMETERS_CHARACTERS:
            self.close(connection_id)
            raise FeedRefusedError("its source is published by WebRTC, or its parameters are too long")
        if source is None:
            source = self._sources[admitted.source_id] = self._make_source(admitted.source_id, hello)
        if not admitted.is_redundant:
            self._close_older(connection_id, admitted.source_id)
        admitted.source = source
        source.add(EncoderFeed(connection_id, video_parameters=hello.video_parameters, now=now))
        self._hear(Connected(connection_id=connection_id))
        return connection_id

    def feed_brought(self, connection_id: str, unit: Unit, now: float) -> None:
        """A feed brings a picture or a packet of sound."""
        source = self._admitted[connection_id].source
        sizes = [len(payload) for payload in unit.payloads]
        if not sizes or not 0 < min(sizes) <= max(sizes) <= MAX_PAYLOAD_SIZE_BYTES:
            raise FeedRefusedError(
                f"a unit has no payloads, or one of none or more than {MAX_PAYLOAD_SIZE_BYTES} bytes"
            )
        if source is not None:
            source.take(connection_id, unit, now)

    def feed_ended(self, connection_id: str) -> None:
        """A feed's socket is closed: another feed may take its place, and nobody is told."""
        source = self._admitted[connection_id].source
        if source is not None:
            source.end(connection_id)

    def _close_older(self, connection_id: str, source_id: str) -> None:
        """Close what was opened for the source before `connection_id`, connected or not, as `Forwarder` does for WebRTC
        publishers. Without this, an older ticket could still be used and would take the source back."""
        for other_id, other in list(self._admitted.items()):
            if other_id == connection_id:
                break
            if other.source_id == source_id:
                self.close(other_id)

    def _make_source(self, source_id: str, hello: Hello) -> EncoderSource:
        return EncoderSource(
            source_id,
            video_parameters=hello.video_parameters,
            name=f"{self._randomness.getrandbits(96):024x}",
            random_bits=self._randomness.getrandbits,
            wall_clock=self._wall_clock,
            pacer=self._pacer,
        )
