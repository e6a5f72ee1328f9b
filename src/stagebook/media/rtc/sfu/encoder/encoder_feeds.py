"""The encoder feeds of one engine: their tickets, their connections, and the sources that they feed.

The life of a feed:

1. `open` issues a ticket: the path of the media bus socket and a secret token. The ingest process gets it.
2. The ingest process connects when it knows the encoder's audio and video formats, and sends a Hello with the token.
   The token is used up, the source is made if it does not exist, and Connected is reported.
3. Units follow. When the media bus connection closes, the feed stays in its source, so that viewers stay, until
   `close`.

The end of an encoder's connection is reported by the ingest process, not here.

A feed that is not redundant replaces older ones when it connects, by the rule for WebRTC publishers (`forwarder`).
Redundant feeds of a source are open side by side; `EncoderSource` chooses the one that viewers see.
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
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, MediaBusServer
from stagebook.media.rtc.sfu.encoder.replay_pacer import ReplayPacer
from stagebook.media.rtc.sfu.engine_statistics import MediaCounters
from stagebook.media.rtc.sfu.media_source import MediaSource

MAX_PARAMETERS_CHARACTERS: Final = 256
_TOKEN_BITS: Final = 192


class _OpenFeed(msgspec.Struct, kw_only=True):
    """One connection with a ticket, used or unused."""

    source_id: str
    is_redundant: bool
    token: str
    opened_at: float
    source: EncoderSource | None = None
    """None until the Hello."""


class EncoderFeeds:
    """All encoder feeds of a forwarder."""

    def __init__(
        self,
        sources: dict[str, MediaSource],
        *,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
        call_later: Callable[[float, Callable[[], None]], object],
        ticket_seconds: float,
        counters: MediaCounters,
    ) -> None:
        """`sources` is the forwarder's table; the first Hello for a source adds it. `ticket_seconds` is the lifetime of
        an unused ticket. The others are as `Forwarder`'s; `call_later` is an event loop's."""
        self._sources = sources
        self._on_fact = on_fact
        self._clock = clock
        self._wall_clock = wall_clock
        self._randomness = randomness
        self._ticket_seconds = ticket_seconds
        self._counters = counters
        self._pacer = ReplayPacer(call_later=call_later, clock=clock)
        self._server = MediaBusServer(self, clock=clock, randomness=randomness)
        self._feeds: dict[str, _OpenFeed] = {}
        """By connection id, oldest first."""
        self._tickets: dict[str, str] = {}
        """Connection ids by unused token."""

    def __len__(self) -> int:
        """The number of feeds, unused tickets included."""
        return len(self._feeds)

    async def start(self, directory: str) -> None:
        """Listen for feeds on a new socket in `directory`, which only the server's processes may enter. Raises
        OSError."""
        await self._server.start(directory)

    async def stop(self) -> None:
        """Stop the replays and close all feeds."""
        self._pacer.clear()
        await self._server.stop()

    # Commands of the forwarder

    def open(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Issue a ticket to feed a source: a socket path and a secret that is valid once, for `ticket_seconds`.

        The source need not exist. Raises MediaRefusedError (BUSY) if WebRTC publishes it or the engine takes no feeds,
        and ValueError for a connection id in use.
        """
        if connection_id in self._feeds:
            raise ValueError(f"connection {connection_id} exists")
        if self._server.path is None:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the engine does not accept encoder feeds")
        if not isinstance(self._sources.get(source_id), EncoderSource | None):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the source is published by WebRTC")
        token = f"{self._randomness.getrandbits(_TOKEN_BITS):048x}"
        self._feeds[connection_id] = _OpenFeed(
            source_id=source_id, is_redundant=is_redundant, token=token, opened_at=self._clock()
        )
        self._tickets[token] = connection_id
        return FeedTicket(path=self._server.path, token=token)

    def close(self, connection_id: str) -> None:
        """Close a feed, or void its unused ticket. The source stays. Unknown ids are ignored."""
        feed = self._feeds.pop(connection_id, None)
        if feed is None:
            return
        self._tickets.pop(feed.token, None)
        self._server.disconnect(connection_id)
        if feed.source is not None:
            feed.source.remove(connection_id)

    def end_source(self, source_id: str) -> None:
        """Close all feeds of a source, and void its unused tickets."""
        for connection_id, feed in list(self._feeds.items()):
            if feed.source_id == source_id:
                self.close(connection_id)

    def expire_tickets(self, now: float) -> None:
        """Void tickets that were not used in time. Called about once a second."""
        for connection_id in list(self._tickets.values()):
            if now - self._feeds[connection_id].opened_at > self._ticket_seconds:
                self.close(connection_id)

    # MediaBusListener

    def feed_connected(self, hello: Hello, now: float) -> str:
        """Handle a feed's Hello: make its source if needed, replace older feeds, and report Connected.

        Returns the connection id of its ticket. Raises FeedRefusedError for an unknown or used token, a source that
        WebRTC publishes by now, and parameters above MAX_PARAMETERS_CHARACTERS.
        """
        connection_id = self._tickets.pop(hello.token, None)
        if connection_id is None:
            raise FeedRefusedError("its token is unknown or has been used")
        feed = self._feeds[connection_id]
        source = self._sources.get(feed.source_id)
        if not isinstance(source, EncoderSource | None) or len(hello.video_parameters) > MAX_PARAMETERS_CHARACTERS:
            self.close(connection_id)
            raise FeedRefusedError("its source is published by WebRTC, or its video parameters are too long")
        if source is None:
            source = self._sources[feed.source_id] = self._make_source(feed.source_id, hello)
        if not feed.is_redundant:
            self._close_older(connection_id, feed.source_id)
        feed.source = source
        source.add(EncoderFeed(connection_id, video_parameters=hello.video_parameters, now=now))
        self._on_fact(Connected(connection_id=connection_id))
        return connection_id

    def feed_received(self, connection_id: str, unit: Unit, now: float) -> None:
        """Pass a unit to its source. Raises FeedRefusedError if its payloads do not fit into RTP packets."""
        source = self._feeds[connection_id].source
        sizes = [len(payload) for payload in unit.payloads]
        if not sizes or not 0 < min(sizes) <= max(sizes) <= MAX_PAYLOAD_SIZE_BYTES:
            raise FeedRefusedError(
                f"a unit has no payload, or one that is empty or larger than {MAX_PAYLOAD_SIZE_BYTES} bytes"
            )
        self._counters.feed_units += 1
        self._counters.feed_bytes += sum(sizes)
        if source is not None:
            source.receive(connection_id, unit, now)

    def feed_closed(self, connection_id: str) -> None:
        """The media bus connection of a feed is closed: a standby feed may replace it. No fact is reported."""
        source = self._feeds[connection_id].source
        if source is not None:
            source.set_ended(connection_id)

    def _close_older(self, connection_id: str, source_id: str) -> None:
        """Close the feeds of a source that were opened before this one, connected or not.

        Unused older tickets are voided as well: otherwise an older feed could connect later and take the source back.
        """
        for other_id, other in list(self._feeds.items()):
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
