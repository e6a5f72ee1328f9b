"""The sources that other engines relay to this one.

A relayed source is a source like any other: a `PublishedSource` fed by a `Publisher`, or an `EncoderSource` with one
feed. Only what feeds it comes from the media bus. The life of a relay:

1. `accept` makes the source from its description and issues a ticket. Viewers can subscribe from now on.
2. The source's own engine connects with the ticket, and sends what it receives.
3. `end_source` ends it. If the relay ends in another way, its viewers would see nothing more: they are closed as if
   their engine was lost, so that they subscribe again.
"""

from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Final

import msgspec

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, FeedTicket, Unit
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_feeds import EncoderFeeds
from stagebook.media.rtc.sfu.encoder.encoder_source import EncoderSource
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, MediaBusServer, SendReply
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.relay.relay_endpoint import RelayEndpoint
from stagebook.media.rtc.sfu.relay.relay_messages import (
    RELAY_DECODER,
    EncoderRelayed,
    FrameCached,
    KeyframeAsked,
    PacketRelayed,
    PublisherGone,
    PublisherRelayed,
    RelayHello,
    RelayMessage,
    ReportRelayed,
    SourceDescription,
)
from stagebook.media.rtc.sfu.source_factory import SourceFactory
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.worker.framing import frame

TICKET_SECONDS: Final = 10.0
"""Lifetime of an unused ticket: longer than the other engine tries to connect."""
_TOKEN_BITS: Final = 192


class _RelayedSource(msgspec.Struct, kw_only=True):
    """One relayed source."""

    source: MediaSource
    token: str
    opened_at: float
    reply: SendReply | None = None
    """None until the other engine has connected."""
    publisher: Publisher | None = None
    feeds: int = 0
    """The number of encoders that have fed the source, one after the other."""


class RelayedSources:
    """All relayed sources of an engine, by source id. It is the listener of their media bus."""

    def __init__(
        self,
        sources: dict[str, MediaSource],
        *,
        factory: SourceFactory,
        feeds: EncoderFeeds,
        on_publisher: Callable[[PublishedSource, Publisher, float], None],
        on_lost: Callable[[MediaSource], None],
        clock: Callable[[], float],
        randomness: Random,
        isolation: FaultIsolation,
    ) -> None:
        """`sources` is the forwarder's table. `factory` and `feeds` make sources.

        `on_publisher` lets a relayed publisher feed its source. `on_lost` closes the viewers of a source whose relay
        has ended. `clock` returns monotonic seconds; `randomness` is fit for secrets. A packet that fails is logged by
        `isolation`: it must not end the relay, and with it the viewers.
        """
        self._sources = sources
        self._factory = factory
        self._feeds = feeds
        self._on_publisher = on_publisher
        self._on_lost = on_lost
        self._clock = clock
        self._randomness = randomness
        self._isolation = isolation
        self._relays: dict[str, _RelayedSource] = {}
        self._counters = MediaCounters()
        """Of relayed publishers. Nobody reads them: the engines of the publishers have counted the same packets."""
        self._server = MediaBusServer(self, RELAY_DECODER, clock=clock, randomness=randomness)

    def __len__(self) -> int:
        """The number of relayed sources."""
        return len(self._relays)

    def __contains__(self, source_id: str) -> bool:
        """Whether a source is relayed to this engine."""
        return source_id in self._relays

    async def start(self, directory: str) -> None:
        """Listen for relays on a new socket in `directory`. Raises OSError."""
        await self._server.start(directory)

    async def stop(self) -> None:
        """Close all relays."""
        await self._server.stop()

    def accept(self, source_id: str, description: SourceDescription) -> FeedTicket:
        """Make a relayed source and issue the ticket for its relay.

        Raises MediaRefusedError (BUSY) if this engine has a source with this id, or takes no relays.
        """
        if source_id in self._sources or self._server.path is None:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the engine cannot take a relay of the source")
        source = self._sources[source_id] = self._make_source(source_id, description)
        token = f"{self._randomness.getrandbits(_TOKEN_BITS):048x}"
        self._relays[source_id] = _RelayedSource(source=source, token=token, opened_at=self._clock())
        return FeedTicket(path=self._server.path, token=token)

    def _make_source(self, source_id: str, description: SourceDescription) -> MediaSource:
        if description.plan is None:
            return self._feeds.make_source(source_id, description.video_parameters)
        return self._factory.make_source(source_id, description.plan)

    def end_source(self, source_id: str) -> None:
        """End the relay of a source that the forwarder ends. Unknown ids are ignored."""
        if self._relays.pop(source_id, None) is not None:
            self._server.disconnect(source_id)

    def expire_tickets(self, now: float) -> None:
        """Give up relays that were not connected in time. Called about once a second."""
        for source_id, relay in list(self._relays.items()):
            if relay.reply is None and now - relay.opened_at > TICKET_SECONDS:
                self.feed_closed(source_id)

    # MediaBusListener: the connection id of a relay is its source id

    def feed_connected(self, hello: RelayMessage, reply: SendReply, now: float) -> str:  # noqa: ARG002 - of the interface
        """Another engine has connected. Raises FeedRefusedError without a valid token."""
        token = hello.token if isinstance(hello, RelayHello) else None
        for source_id, relay in self._relays.items():
            if relay.token == token and relay.reply is None:
                relay.reply = reply
                return source_id
        raise FeedRefusedError("a relay has no valid token")

    def feed_received(self, connection_id: str, message: RelayMessage, now: float) -> None:
        """Let a message have the effect that the media has on the source's own engine."""
        relay = self._relays[connection_id]
        match message:
            case PacketRelayed():
                if relay.publisher is not None:
                    self._isolation.call("relayed packet", relay.publisher.receive_rtp, message.packet, now)
            case ReportRelayed():
                if relay.publisher is not None:
                    self._isolation.call("relayed report", relay.publisher.receive_rtcp, message.compound, now)
            case Unit() | FrameCached() | EncoderRelayed():
                self._receive_encoder(relay, message, now)
            case PublisherRelayed():
                self._start_publisher(relay, message, now)
            case PublisherGone():
                self._end_publisher(relay)
            case RelayHello():
                raise FeedRefusedError("it sent a second hello")

    def feed_closed(self, connection_id: str) -> None:
        """A relay has ended without `end_source`: its viewers are closed."""
        relay = self._relays.pop(connection_id, None)
        if relay is not None:
            self._sources.pop(connection_id, None)
            self._on_lost(relay.source)

    def _start_publisher(self, relay: _RelayedSource, message: PublisherRelayed, now: float) -> None:
        source = relay.source
        if not isinstance(source, PublishedSource):
            raise FeedRefusedError("a WebRTC publisher cannot feed a source of encoders")
        publisher = relay.publisher = self._factory.make_publisher(message.plan, source, self._counters)
        publisher.learn_rids(message.rids)
        publisher.connected(RelayEndpoint(partial(self._ask_for_keyframes, relay)), now)
        self._on_publisher(source, publisher, now)

    def _end_publisher(self, relay: _RelayedSource) -> None:
        if relay.publisher is not None:
            relay.publisher.closed()
            relay.publisher = None

    def _receive_encoder(self, relay: _RelayedSource, message: Unit | FrameCached | EncoderRelayed, now: float) -> None:
        source = relay.source
        if not isinstance(source, EncoderSource):
            raise FeedRefusedError("an encoder cannot feed a source of WebRTC")
        if isinstance(message, EncoderRelayed):
            source.remove(str(relay.feeds))
            relay.feeds += 1
            source.add(EncoderFeed(str(relay.feeds), video_parameters=message.video_parameters, now=now))
        elif isinstance(message, Unit):
            source.receive(str(relay.feeds), message, now)
        else:
            source.feeds[str(relay.feeds)].gop_cache.add(
                message.payloads, is_keyframe=message.is_keyframe, timestamp=message.timestamp
            )

    @staticmethod
    def _ask_for_keyframes(relay: _RelayedSource, ssrcs: Iterable[int]) -> None:
        for ssrc in ssrcs:
            if relay.reply is not None:
                relay.reply(frame(KeyframeAsked(ssrc=ssrc), max_bytes=MAX_FEED_MESSAGE_BYTES))
