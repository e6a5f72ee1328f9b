"""The sources of one uplink process: the feeds of their encoders, and for each source one publisher in LiveKit.

The lifecycle of a source:

1. `open` issues a ticket for the feed of an encoder. Further encoders get theirs, redundant ones side by side.
2. With the first Hello, the publisher is connected. Feeds are reported as Connected once LiveKit has connected it, so
   that no viewer subscribes before.
3. The publisher sends the encoder that `encoder_source` chooses, until the last feed is closed, the source is ended, or
   LiveKit ends the publisher. In the last case all feeds of the source are closed, and the server gets a report.

Of an encoder with several video tracks, the first one is sent.
"""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, Protocol

import msgspec
import structlog

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.uplink.packet_publisher import WhipFailedError
from stagebook.media.livekit.uplink.uplink_messages import UplinkConnected, UplinkLost, UplinkSettings
from stagebook.media.livekit.uplink.uplink_relay import FrameReceiver, UplinkRelay
from stagebook.media.media_bus import FeedMessage, FeedTicket, Hello
from stagebook.media.port import Connected, MediaFact
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.encoder.encoder_feeds import EncoderFeeds
from stagebook.media.rtc.sfu.encoder.media_bus_server import SendReply
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.source_factory import SourceFactory
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters

_SECOND: Final = 1.0

_log = structlog.get_logger(__name__)


class UplinkPublisher(Protocol):
    """A publisher in LiveKit (`packet_publisher`)."""

    @property
    def tracks(self) -> Mapping[MediaKind, FrameReceiver]: ...
    async def start(self) -> None: ...
    async def wait_lost(self) -> None: ...
    async def stop(self) -> None: ...


class UplinkListener(Protocol):
    """Receives the reports for the server."""

    def send_fact(self, fact: MediaFact) -> None: ...
    def send(self, report: UplinkConnected | UplinkLost) -> None: ...


class _SingleTrackFeeds(EncoderFeeds):
    """Feeds of one video track: sources with layers are not uplinked."""

    def feed_connected(self, hello: FeedMessage, reply: SendReply, now: float) -> str:
        if isinstance(hello, Hello):
            hello = msgspec.structs.replace(hello, video_tracks=1)
        return super().feed_connected(hello, reply, now)

    def is_open(self, connection_id: str) -> bool:
        """Whether the feed is open: neither closed nor replaced by a newer one."""
        return connection_id in self._feeds


class _Uplink(msgspec.Struct, kw_only=True):
    """The publisher of one source."""

    token: str
    feed_ids: list[str] = []
    waiting: list[Connected] = []
    """The feeds that wait for LiveKit."""
    is_connected: bool = False
    task: asyncio.Task[None] | None = None


class UplinkedSources:
    """The work of one process."""

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        listener: UplinkListener,
        make_publisher: Callable[[str], UplinkPublisher],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        """`make_publisher` makes the publisher for an access token. The others are as `Forwarder`'s."""
        self._settings = settings
        self._listener = listener
        self._make_publisher = make_publisher
        self._clock = clock
        self._sources: dict[str, MediaSource] = {}
        self._uplinks: dict[str, _Uplink] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._seconds: asyncio.Task[None] | None = None
        self._feeds = _SingleTrackFeeds(
            self._sources,
            on_fact=self._handle_fact,
            clock=clock,
            wall_clock=wall_clock,
            randomness=randomness,
            call_later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            ticket_seconds=settings.feed_ticket_seconds,
            counters=MediaCounters(),
            # Only sources with layers are made by it.
            factory=SourceFactory(
                EngineSettings(), wall_clock=wall_clock, randomness=randomness, on_codec_changed=_ignore
            ),
            on_publisher=_ignore,
        )

    async def start(self) -> None:
        """Listen for feeds. Raises OSError."""
        await self._feeds.start(self._settings.feed_directory)
        self._seconds = asyncio.create_task(self._run_seconds())

    async def stop(self) -> None:
        """Close all feeds, and end the publishers in LiveKit."""
        if self._seconds is not None:
            self._seconds.cancel()
        for source_id in list(self._uplinks):
            self.end_source(source_id)
        await self._feeds.stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def open(self, *, connection_id: str, source_id: str, is_redundant: bool, token: str) -> FeedTicket:
        """Issue a ticket for a feed of a source. Raises as `EncoderFeeds.open`."""
        ticket = self._feeds.open(connection_id=connection_id, source_id=source_id, is_redundant=is_redundant)
        uplink = self._uplinks.setdefault(source_id, _Uplink(token=token))
        uplink.feed_ids.append(connection_id)
        return ticket

    def close(self, connection_id: str) -> None:
        """Close a feed; the publisher ends with the last one of its source. Unknown ids are ignored."""
        source_id = self._source_of(connection_id)
        if source_id is None:
            return
        self._feeds.close(connection_id)
        uplink = self._uplinks[source_id]
        uplink.feed_ids.remove(connection_id)
        uplink.waiting = [fact for fact in uplink.waiting if fact.connection_id != connection_id]
        if not uplink.feed_ids:
            self.end_source(source_id)

    def end_source(self, source_id: str) -> None:
        """Close all feeds of a source, and end its publisher. Unknown ids are ignored."""
        uplink = self._uplinks.pop(source_id, None)
        if uplink is None:
            return
        self._feeds.end_source(source_id)
        self._sources.pop(source_id, None)
        if uplink.task is not None:
            uplink.task.cancel()

    def _source_of(self, connection_id: str) -> str | None:
        return next((each for each, uplink in self._uplinks.items() if connection_id in uplink.feed_ids), None)

    def _handle_fact(self, fact: MediaFact) -> None:
        """A feed has sent its Hello: connect the publisher of its source, or report it if that is connected."""
        source_id = self._source_of(fact.connection_id) if isinstance(fact, Connected) else None
        if source_id is None or not isinstance(fact, Connected):
            return
        uplink = self._uplinks[source_id]
        if uplink.is_connected:
            self._report_connected(uplink, fact)
            return
        uplink.waiting.append(fact)
        if uplink.task is None:
            uplink.task = asyncio.create_task(self._run(source_id, uplink))
            self._ending.add(uplink.task)
            uplink.task.add_done_callback(self._ending.discard)

    def _report_connected(self, uplink: _Uplink, fact: Connected) -> None:
        """Report a feed, and forget those that it has replaced."""
        uplink.feed_ids = [each for each in uplink.feed_ids if self._feeds.is_open(each)]
        if fact.connection_id in uplink.feed_ids:
            self._listener.send_fact(fact)

    async def _run(self, source_id: str, uplink: _Uplink) -> None:
        """Keep the publisher of a source connected until it is ended here or in LiveKit."""
        publisher = self._make_publisher(uplink.token)
        try:
            await publisher.start()
            uplink.is_connected = True
            self._sources[source_id].add_relay(UplinkRelay(publisher.tracks, clock=self._clock))
            self._listener.send(UplinkConnected(source_id=source_id))
            for fact in uplink.waiting:
                self._report_connected(uplink, fact)
            uplink.waiting = []
            await publisher.wait_lost()
        except WhipFailedError as error:
            self._lose(source_id, str(error))
        except Exception:  # noqa: BLE001 - an error with one source must not end the others
            _log.exception("an uplink failed", source_id=source_id)
            self._lose(source_id, "the uplink failed")
        finally:
            await publisher.stop()

    def _lose(self, source_id: str, detail: str) -> None:
        uplink = self._uplinks.pop(source_id, None)
        if uplink is not None:
            self._feeds.end_source(source_id)
            self._sources.pop(source_id, None)
            self._listener.send(UplinkLost(source_id=source_id, detail=detail))

    async def _run_seconds(self) -> None:
        while True:
            await asyncio.sleep(_SECOND)
            now = self._clock()
            self._feeds.expire_tickets(now)
            for source_id, source in list(self._sources.items()):
                uplink = self._uplinks.get(source_id)
                source.each_second(now)
                if uplink is None or not uplink.is_connected:
                    continue
                for measured in source.measure(now):
                    self._listener.send_fact(measured)


def _ignore(*_arguments: object) -> None:
    """Called for sources with layers, of which there are none."""
