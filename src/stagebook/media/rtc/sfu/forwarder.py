"""The forwarder of one engine process: it carries out the commands of `media.port.MediaEngine` for WebRTC.

A source is made by the first `publish` (or by the first feed of an encoder) and exists until `end_source`. Several
publishers of a source may be open at once, because a client that lost its network publishes again before the server has
noticed the loss. The newest connected one feeds the source:

* A publisher takes the source over when it connects, not when its offer is answered. Until then the current publisher
  continues. If the new one does not connect, it is closed and nothing else happens.
* When a publisher takes over, all publishers that were opened before it are closed, connected or not. They are reported
  as Closed with REPLACED, after Connected of the newer one.
* Viewers stay, unless the video codec changes: then they are closed, with SOURCE_CHANGED. It may also change with the
  first video packet of a publisher: the answer accepts several codecs, and only the packet shows which one is sent.
"""

import asyncio
from collections.abc import Callable
from random import Random

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    InitialLayer,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    VideoLayers,
)
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.media_plan import PublisherPlan
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import write_publisher_answer, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.trickle_fragment import parse_fragment
from stagebook.media.rtc.sfu.connection_table import ConnectionTable, TableEntry
from stagebook.media.rtc.sfu.encoder.encoder_feeds import EncoderFeeds
from stagebook.media.rtc.sfu.engine_statistics import EngineStatistics, MediaCounters
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.ice_fragment_answer import answer_fragment
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.viewer import Viewer, make_viewer
from stagebook.media.rtc.transport.peer_connection import PeerConnection
from stagebook.media.rtc.transport.shared_transport import SharedTransport

TICK_SECONDS = 0.25
"""Interval of the timers: handshake retransmissions, timeouts, layer selection, repeated NACKs. The first NACK for a
gap is sent at once, when the packet after the gap arrives."""
_TICKS_PER_SECOND = 4


class Forwarder:
    """The forwarder of one process. All methods must be called on its event loop's thread."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        """`on_fact` receives every fact. `clock` returns monotonic seconds, `wall_clock` seconds since 1970 (for the
        NTP times of sender reports and for the certificate). `randomness` must be cryptographically secure
        (random.SystemRandom): ICE passwords and feed tokens come from it."""
        self._settings = settings
        self._on_fact = on_fact
        self._clock = clock
        self._wall_clock = wall_clock
        self._randomness = randomness
        self._transport = SharedTransport(
            bind_addresses=settings.bind_addresses,
            udp_port=settings.udp_port,
            announced_addresses=settings.announced_addresses,
            wall_clock=wall_clock,
            clock=clock,
            randomness=randomness,
        )
        self._counters = MediaCounters()
        self._cname = self._random_name()
        self._connections = ConnectionTable(self._transport, settings, listener=self)
        self._sources: dict[str, MediaSource] = {}
        self._feeds = EncoderFeeds(
            self._sources,
            on_fact=on_fact,
            clock=clock,
            wall_clock=wall_clock,
            randomness=randomness,
            call_later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            ticket_seconds=settings.feed_ticket_seconds,
            counters=self._counters,
        )
        self._isolation = FaultIsolation(clock=clock)
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Bind the sockets and start the timers. Call it once, on the running event loop.

        Raises OSError if an address cannot be bound, or the socket for encoder feeds cannot be made.
        """
        if self._settings.feed_directory:
            await self._feeds.start(self._settings.feed_directory)
        self._transport.start(asyncio.get_running_loop())
        self._schedule_tick()

    async def stop(self) -> None:
        """Close all connections and the sockets. No facts are reported. The forwarder cannot be started again."""
        if self._timer is not None:
            self._timer.cancel()
        for connection_id in self._connections:
            self._connections.close(connection_id)
        await self._feeds.stop()
        self._sources.clear()
        self._transport.stop(asyncio.get_running_loop())

    @property
    def udp_port(self) -> int:
        """The bound UDP port, also where the settings let the system choose it."""
        return self._transport.udp_port

    def statistics(self, *, cpu_seconds: float) -> EngineStatistics:
        """What the engine has done so far, and what it has now. `cpu_seconds` is the CPU time of its process."""
        viewers = self._connections.viewers
        return EngineStatistics(
            media=self._counters,
            transport=self._transport.statistics,
            cpu_seconds=cpu_seconds,
            sources=len(self._sources),
            publishers=len(self._connections) - viewers,
            viewers=viewers,
            feeds=len(self._feeds),
            connecting=self._connections.connecting,
        )

    # Commands (media.port.MediaEngine, without waiting)

    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """Answer a publisher's offer (RFC 9725 section 4.2), and make the source if it does not exist.

        `offer` is SDP. The answer has its SDP and the ICE session, which a later `patch` names. Connected is reported
        when the handshake is complete, or Closed if it is not within the connect timeout.

        Raises MediaRefusedError (MALFORMED, AUDIO_CODEC, VIDEO_CODEC, BUSY), ValueError for a connection id in use.
        """
        self._check_limits()
        source = self._sources.get(source_id)
        if not isinstance(source, PublishedSource | None):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="an encoder publishes the source")
        plan = negotiate_publisher(
            parse_description(offer),
            video_codecs=self._settings.video_codecs,
            current=None if source is None else source.format,
        )
        if source is None:
            source = self._make_source(source_id, plan)
        publisher = Publisher(
            plan,
            ssrc=self._randomness.getrandbits(32),
            cname=self._cname.encode(),
            ceiling_bps=self._settings.max_bitrate_bps,
            listener=source,
            counters=self._counters,
        )
        self._connections.make_room_for_publisher(source)
        peer = self._connections.open(connection_id, plan, source, publisher, now=self._clock())
        self._sources[source_id] = source
        answer = write_publisher_answer(plan, local=self._transport.describe(peer))
        return Answer(
            sdp=answer,
            ice_session=peer.ice.credentials.ufrag,
            sends_audio=plan.audio is not None,
            sends_video=plan.video is not None,
        )

    def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """Answer a viewer's offer for a source, with the source's codecs.

        The source need not have a publisher: the viewer is connected and gets media when one sends. With LOWEST it
        starts with the lowest simulcast layer and goes on with the best one after a moment; otherwise it is sent the
        best layer. The rest is as for `publish`.

        Raises MediaRefusedError (MALFORMED, AUDIO_CODEC, VIDEO_CODEC, UNKNOWN_SOURCE, BUSY), ValueError for a
        connection id in use.
        """
        self._check_limits()
        source = self._sources.get(source_id)
        if source is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        plan = negotiate_viewer(parse_description(offer), source=source.format)
        viewer, sent = make_viewer(
            plan,
            source.tracks,
            name=source.name,
            random_bits=self._randomness.getrandbits,
            counters=self._counters,
        )
        peer = self._connections.open(connection_id, plan, source, viewer, now=self._clock())
        source.viewers[connection_id] = viewer
        if initial_layer is InitialLayer.LOWEST:
            source.start_low(viewer, self._clock())
        local = self._transport.describe(peer)
        answer = write_viewer_answer(plan, local=local, sent=sent, stream_id=source.name, cname=source.name)
        return Answer(sdp=answer, ice_session=peer.ice.credentials.ufrag, has_layers=source.has_layers)

    def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Allow an encoder's connection to feed a source over the media bus.

        Connected is reported when the feed's Hello arrives. Raises MediaRefusedError (BUSY), ValueError for a
        connection id in use.
        """
        self._check_limits()
        return self._feeds.open(connection_id=connection_id, source_id=source_id, is_redundant=is_redundant)

    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Handle a trickle ICE or ICE restart fragment (RFC 8840, RFC 9725 section 4.3).

        `ice_session` is the value of If-Match, and None or "*" matches any session. Raises MediaRefusedError
        (MALFORMED, UNKNOWN_CONNECTION, ICE_SESSION_MISMATCH).
        """
        entry = self._connections.get(connection_id)
        if entry is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="there is no such connection")
        return answer_fragment(entry, self._transport, parse_fragment(fragment), ice_session)

    def layers(self, *, connection_id: str) -> VideoLayers:
        """The simulcast layers that a viewer can choose; none for a source without simulcast.

        Raises MediaRefusedError (UNKNOWN_CONNECTION), also for a publisher's connection.
        """
        entry, viewer = self._viewer(connection_id)
        video = entry.plan.video
        return VideoLayers(section=None if video is None else video.section, layers=entry.source.layers(viewer))

    def select_layer(self, *, connection_id: str, encoding_id: str | None) -> None:
        """Send a viewer the simulcast layer with this encoding id from its next keyframe on; None: the best one.

        Raises MediaRefusedError (UNKNOWN_CONNECTION, UNKNOWN_LAYER, BUSY).
        """
        entry, viewer = self._viewer(connection_id)
        entry.source.choose_layer(viewer, encoding_id, self._clock())

    def _viewer(self, connection_id: str) -> tuple[TableEntry, Viewer]:
        entry = self._connections.get(connection_id)
        viewer = None if entry is None else entry.source.viewers.get(connection_id)
        if entry is None or viewer is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="no viewer has this connection")
        return entry, viewer

    def close(self, *, connection_id: str, as_failure: bool = False) -> None:
        """Close one connection without reporting a fact. Its source and the source's viewers stay. Unknown ids are
        ignored. With `as_failure` its peer sees a failure."""
        self._connections.close(connection_id, as_failure=as_failure)
        self._feeds.close(connection_id)

    def end_source(self, *, source_id: str) -> None:
        """Close a source with all of its connections, without reporting facts. Unknown ids are ignored.

        Its viewers see a failure, as they have not asked for the end.
        """
        self._feeds.end_source(source_id)
        source = self._sources.pop(source_id, None)
        if source is not None:
            for connection_id in self._connections.of_source(source):
                self._connections.close(connection_id, as_failure=connection_id in source.viewers)

    # PeerListener

    def peer_connected(self, peer: PeerConnection, now: float) -> None:
        """A connection is up: report Connected. A publisher takes its source over, and the publishers that it replaces
        are reported as Closed after that."""
        entry = self._connections.set_connected(peer.connection_id)
        replaced: list[str] = []
        if entry.publisher is not None and isinstance(entry.source, PublishedSource):
            replaced = self._take_over(peer.connection_id, entry.source, entry.publisher, now)
        self._on_fact(Connected(connection_id=peer.connection_id))
        for older in replaced:
            self._on_fact(Closed(connection_id=older, cause=CloseCause.REPLACED))

    def peer_failed(self, peer: PeerConnection, cause: CloseCause) -> None:
        """A connection ended by itself: close it and report Closed with this cause, once."""
        if self._connections.close(peer.connection_id):
            self._on_fact(Closed(connection_id=peer.connection_id, cause=cause))

    def _take_over(self, connection_id: str, source: PublishedSource, publisher: Publisher, now: float) -> list[str]:
        """Let a publisher that has connected feed its source (see the module's docstring).

        Returns the ids of the older publishers' connections, which end.
        """
        replaced = [
            older for older in self._connections.older_publishers(connection_id) if self._connections.close(older)
        ]
        self._feed(source, publisher, now)
        return replaced

    def _feed(self, source: PublishedSource, publisher: Publisher, now: float) -> None:
        """Let a publisher feed a source. Viewers whose video codec this is not are closed, with SOURCE_CHANGED."""
        if not source.keeps_viewers(publisher.plan):
            for viewer_id in list(source.viewers):
                if self._connections.close(viewer_id, as_failure=True):
                    self._on_fact(Closed(connection_id=viewer_id, cause=CloseCause.SOURCE_CHANGED))
        source.take_over(publisher, now)

    def _check_limits(self) -> None:
        count = len(self._connections) + len(self._feeds)
        if count >= self._settings.max_connections or not self._connections.make_room(self._clock()):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the engine has too many connections")

    def _make_source(self, source_id: str, plan: PublisherPlan) -> PublishedSource:
        return PublishedSource(
            source_id,
            plan,
            name=self._random_name(),
            video_codec=self._settings.video_codecs[0],
            random_bits=self._randomness.getrandbits,
            wall_clock=self._wall_clock,
            on_codec_changed=self._feed,
        )

    def _random_name(self) -> str:
        return f"{self._randomness.getrandbits(96):024x}"

    # Time

    def _schedule_tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._schedule_tick()
        now = self._clock()
        self._ticks += 1
        for source in list(self._sources.values()):
            self._isolation.call("source", source.handle_timers, now)
        self._connections.handle_timers(now, self._isolation)
        if self._ticks % _TICKS_PER_SECOND == 0:
            self._each_second(now)

    def _each_second(self, now: float) -> None:
        self._transport.reset_rate_limits()
        self._connections.reset_rate_limits()
        self._isolation.call("feed tickets", self._feeds.expire_tickets, now)
        for source in list(self._sources.values()):
            self._isolation.call("source reports", source.each_second, now)
            self._isolation.call("source measurement", self._measure, source, now)

    def _measure(self, source: MediaSource, now: float) -> None:
        for measured in source.measure(now):
            self._on_fact(measured)
