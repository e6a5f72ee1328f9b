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

The first feed of a source decides what the source is. If it has several video tracks and is not redundant, it is a
`PublishedSource` with simulcast layers (`layered_feed`); otherwise an `EncoderSource`, which has track 0 alone. Later
feeds are received as their source is: one with a single track as the only layer, and of one with several tracks for an
`EncoderSource` only track 0.
"""

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from stagebook.media.media_bus import FEED_DECODER, MAX_VIDEO_TRACKS, FeedMessage, FeedTicket, Hello, Unit
from stagebook.media.port import Connected, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_source import EncoderSource
from stagebook.media.rtc.sfu.encoder.layered_feed import LayeredFeed, make_plan
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, MediaBusServer, SendReply
from stagebook.media.rtc.sfu.encoder.replay_pacer import ReplayPacer
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.source_factory import SourceFactory
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters

MAX_PARAMETERS_CHARACTERS: Final = 256
_TOKEN_BITS: Final = 192


class _OpenFeed(msgspec.Struct, kw_only=True):
    """One connection with a ticket, used or unused."""

    source_id: str
    is_redundant: bool
    token: str
    opened_at: float
    source: EncoderSource | None = None
    """None until the Hello, and for a source with layers."""
    layered: LayeredFeed | None = None
    """The feed of a source with layers."""


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
        factory: SourceFactory,
        on_publisher: Callable[[PublishedSource, Publisher, float], None],
        schedule: SendSchedule | None = None,
    ) -> None:
        """`sources` is the forwarder's table; the first Hello for a source adds it. `ticket_seconds` is the lifetime of
        an unused ticket. `factory` makes sources with layers, and `on_publisher` lets the publisher of a feed with
        several video tracks feed its source. The others are as `Forwarder`'s; `call_later` is an event loop's."""
        self._sources = sources
        self._on_fact = on_fact
        self._clock = clock
        self._wall_clock = wall_clock
        self._randomness = randomness
        self._ticket_seconds = ticket_seconds
        self._counters = counters
        self._factory = factory
        self._on_publisher = on_publisher
        self._layer_counters = MediaCounters()
        """Of the publishers of feeds. Nobody reads them: nothing of a feed is lost or requested."""
        self._schedule = schedule
        self._pacer = ReplayPacer(call_later=call_later, clock=clock)
        self._server = MediaBusServer(self, FEED_DECODER, clock=clock, randomness=randomness)
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
        if _is_published_by_webrtc(self._sources.get(source_id)):
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
        if feed.layered is not None:
            feed.layered.close()

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

    def find(self, source_id: str, connection_id: str) -> EncoderFeed | None:
        """Return a connected feed of a source; None for an unknown one, and for one of a source with layers."""
        feed = self._feeds.get(connection_id)
        if feed is None or feed.source_id != source_id or feed.source is None:
            return None
        return feed.source.feeds.get(connection_id)

    # MediaBusListener

    def feed_connected(self, hello: FeedMessage, reply: SendReply, now: float) -> str:  # noqa: ARG002 - nothing is replied
        """Handle a feed's Hello: make its source if needed, replace older feeds, and report Connected.

        Returns the connection id of its ticket. Raises FeedRefusedError for another message, an unknown or used token,
        a source that WebRTC publishes by now, parameters above MAX_PARAMETERS_CHARACTERS, and a number of video tracks
        that is not 1 to MAX_VIDEO_TRACKS.
        """
        if not isinstance(hello, Hello):
            raise FeedRefusedError("the first message is not a Hello")
        connection_id = self._tickets.pop(hello.token, None)
        if connection_id is None:
            raise FeedRefusedError("its token is unknown or has been used")
        feed = self._feeds[connection_id]
        source = self._sources.get(feed.source_id)
        if (
            _is_published_by_webrtc(source)
            or len(hello.video_parameters) > MAX_PARAMETERS_CHARACTERS
            or not 1 <= hello.video_tracks <= MAX_VIDEO_TRACKS
        ):
            self.close(connection_id)
            raise FeedRefusedError("its source is published by WebRTC, or its video parameters or tracks are too many")
        if source is None and (feed.is_redundant or hello.video_tracks == 1):
            source = self._sources[feed.source_id] = self.make_source(feed.source_id, hello.video_parameters)
        if not feed.is_redundant:
            self._close_older(connection_id, feed.source_id)
        if isinstance(source, EncoderSource):
            feed.source = source
            source.add(EncoderFeed(connection_id, video_parameters=hello.video_parameters, now=now))
        else:
            feed.layered = self._add_layered(connection_id, feed.source_id, hello, now)
        self._on_fact(Connected(connection_id=connection_id))
        return connection_id

    def _add_layered(self, connection_id: str, source_id: str, hello: Hello, now: float) -> LayeredFeed:
        """Let a feed take over its source with layers, which is made if it does not exist."""
        plan = make_plan(hello, self._randomness.getrandbits)
        source = self._sources.get(source_id)
        if not isinstance(source, PublishedSource):
            source = self._sources[source_id] = self._factory.make_source(source_id, plan)
            source.is_of_encoders = True
        publisher = self._factory.make_publisher(plan, source, self._layer_counters)
        layered = LayeredFeed(connection_id, publisher, ntp_now=source.ntp_now)
        self._on_publisher(source, layered.connect(now), now)
        return layered

    def feed_received(self, connection_id: str, unit: FeedMessage, now: float) -> None:
        """Pass a unit to its source. Raises FeedRefusedError for a second Hello, and for payloads that do not fit into
        RTP packets."""
        if not isinstance(unit, Unit):
            raise FeedRefusedError("it sent a second Hello")
        feed = self._feeds[connection_id]
        sizes = [len(payload) for payload in unit.payloads]
        if not sizes or not 0 < min(sizes) <= max(sizes) <= MAX_PAYLOAD_SIZE_BYTES:
            raise FeedRefusedError(
                f"a unit has no payload, or one that is empty or larger than {MAX_PAYLOAD_SIZE_BYTES} bytes"
            )
        self._counters.feed_units += 1
        self._counters.feed_bytes += sum(sizes)
        if feed.layered is not None:
            feed.layered.receive(unit, now)
        elif feed.source is not None and unit.track == 0:
            feed.source.receive(connection_id, unit, now)

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

    def make_source(self, source_id: str, video_parameters: str) -> EncoderSource:
        """Make a source that is fed by encoders. The caller adds it to the table of sources."""
        return EncoderSource(
            source_id,
            video_parameters=video_parameters,
            name=f"{self._randomness.getrandbits(96):024x}",
            random_bits=self._randomness.getrandbits,
            wall_clock=self._wall_clock,
            pacer=self._pacer,
            schedule=self._schedule,
        )


def _is_published_by_webrtc(source: MediaSource | None) -> bool:
    return isinstance(source, PublishedSource) and not source.is_of_encoders
