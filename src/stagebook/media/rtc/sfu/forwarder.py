"""The forwarder of one engine process: it carries out the commands of `media.port.MediaEngine` for WebRTC.

A source is made by the first `publish` (or by the first feed of an encoder) and exists until `end_source`. Several
publishers of a source may be open at once; `source_takeover` decides which one feeds it.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    VideoLayers,
)
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import write_publisher_answer, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.trickle_fragment import parse_fragment
from stagebook.media.rtc.sfu.connection_table import TableEntry
from stagebook.media.rtc.sfu.encoder.encoder_feeds import EncoderFeeds
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.ice_fragment_answer import answer_fragment
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.relay.relay_senders import RelaySenders
from stagebook.media.rtc.sfu.relay.relayed_sources import RelayedSources
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.source_factory import SourceFactory
from stagebook.media.rtc.sfu.source_takeover import SourceTakeover
from stagebook.media.rtc.sfu.statistics.connection_readings import ConnectionReadings
from stagebook.media.rtc.sfu.statistics.engine_statistics import EngineStatistics, MediaCounters
from stagebook.media.rtc.sfu.timer.engine_timer import EngineTimer
from stagebook.media.rtc.sfu.viewer import Viewer, make_viewer
from stagebook.media.rtc.transport.shared_transport import SharedTransport
from stagebook.media.rtc.transport.tcp_connections import TcpSockets


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
        tcp: TcpSockets | None = None,
    ) -> None:
        """`on_fact` receives every fact. `clock` returns monotonic seconds, `wall_clock` seconds since 1970 (for the
        NTP times of sender reports and for the certificate). `randomness` must be cryptographically secure
        (random.SystemRandom): ICE passwords and feed tokens come from it. `tcp` are the sockets of media over TCP, None
        for UDP alone."""
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
            engine_number=settings.engine_number,
            max_connections=settings.max_connections,
            tcp=tcp,
        )
        self._counters = MediaCounters()
        self._takeover = SourceTakeover(self._transport, settings, on_fact=on_fact)
        self._connections = self._takeover.connections
        self._readings = ConnectionReadings(self._connections)
        self._sources: dict[str, MediaSource] = {}
        self._isolation = FaultIsolation(clock=clock)
        self._schedule = SendSchedule(call_later=_call_later, clock=clock, isolation=self._isolation)
        self._factory = SourceFactory(
            settings,
            wall_clock=wall_clock,
            randomness=randomness,
            on_codec_changed=self._takeover.feed,
            schedule=self._schedule,
        )
        self._feeds = self._make_feeds()
        self._relay_senders = RelaySenders(clock=clock)
        self._relayed = self._make_relayed_sources()
        self._timer = self._make_timer()

    def _make_feeds(self) -> EncoderFeeds:
        return EncoderFeeds(
            self._sources,
            on_fact=self._on_fact,
            clock=self._clock,
            wall_clock=self._wall_clock,
            randomness=self._randomness,
            call_later=_call_later,
            ticket_seconds=self._settings.feed_ticket_seconds,
            counters=self._counters,
            factory=self._factory,
            on_publisher=self._takeover.feed,
            schedule=self._schedule,
        )

    def _make_relayed_sources(self) -> RelayedSources:
        return RelayedSources(
            self._sources,
            factory=self._factory,
            feeds=self._feeds,
            on_publisher=self._takeover.feed,
            on_lost=self._takeover.lose_source,
            clock=self._clock,
            randomness=self._randomness,
            isolation=self._isolation,
        )

    def _make_timer(self) -> EngineTimer:
        return EngineTimer(
            sources=self._sources,
            connections=self._connections,
            transport=self._transport,
            feeds=self._feeds,
            relayed=self._relayed,
            isolation=self._isolation,
            on_fact=self._on_fact,
            clock=self._clock,
        )

    async def start(self) -> None:
        """Bind the sockets and start the timers. Call it once, on the running event loop.

        Raises OSError if an address cannot be bound, or the socket for encoder feeds cannot be made.
        """
        if self._settings.feed_directory:
            await self._feeds.start(self._settings.feed_directory)
            await self._relayed.start(self._settings.feed_directory)
        self._transport.start(asyncio.get_running_loop())
        self._timer.start()

    async def stop(self) -> None:
        """Close all connections and the sockets. No facts are reported. The forwarder cannot be started again."""
        self._timer.stop()
        for connection_id in self._connections:
            self._connections.close(connection_id)
        await self._feeds.stop()
        await self._relay_senders.stop()
        await self._relayed.stop()
        self._sources.clear()
        self._transport.stop()

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
            tcp_connections=self._transport.tcp_connections,
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
        is_fed = isinstance(source, PublishedSource) and source.is_of_encoders
        if not isinstance(source, PublishedSource | None) or is_fed or source_id in self._relayed:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="an encoder or another engine feeds the source")
        plan = negotiate_publisher(
            parse_description(offer),
            video_codecs=self._settings.video_codecs,
            current=None if source is None else source.format,
        )
        if source is None:
            source = self._factory.make_source(source_id, plan)
        publisher = self._factory.make_publisher(plan, source, self._counters)
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

        The source need not have a publisher: the viewer is connected and gets media when one sends. With LOWEST, or
        without a preference if its bandwidth can be estimated by transport-wide feedback, it starts with the lowest
        simulcast layer, otherwise with the best one. The rest is as for `publish`.

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
            schedule=self._schedule,
        )
        peer = self._connections.open(connection_id, plan, source, viewer, now=self._clock())
        source.viewers[connection_id] = viewer
        if initial_layer is InitialLayer.LOWEST or (initial_layer is None and viewer.bandwidth.send_side is not None):
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

    def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """Send a viewer what it chooses, from the next keyframe on.

        Raises MediaRefusedError (UNKNOWN_CONNECTION, UNKNOWN_LAYER, BUSY).
        """
        entry, viewer = self._viewer(connection_id)
        entry.source.choose_layer(viewer, choice, self._clock())

    def connection_statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """What is known of the open ones of these connections."""
        return self._readings.read(connection_ids, self._clock())

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
        self._relayed.end_source(source_id)
        source = self._sources.pop(source_id, None)
        if source is not None:
            self._relay_senders.end_source(source)
            for connection_id in self._connections.of_source(source):
                self._connections.close(connection_id, as_failure=connection_id in source.viewers)

    # Relays

    def describe_source(self, *, source_id: str, feed_id: str | None = None) -> SourceDescription:
        """What another engine needs for viewers of a source, or a tap of it. `feed_id` is that of `start_relay`.

        Raises MediaRefusedError (UNKNOWN_SOURCE, UNKNOWN_CONNECTION)."""
        source = self._sources.get(source_id)
        if source is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        if feed_id is None:
            return source.describe()
        feed = self._feeds.find(source_id, feed_id)
        if feed is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="the source has no such feed")
        return SourceDescription(plan=None, video_parameters=feed.video_parameters)

    def accept_relay(self, *, source_id: str, description: SourceDescription) -> FeedTicket:
        """Make a source that another engine relays, and return the ticket for that engine.

        Viewers can subscribe to it from now on. Raises MediaRefusedError (BUSY)."""
        self._check_limits()
        return self._relayed.accept(source_id, description)

    def start_relay(
        self, *, source_id: str, ticket: FeedTicket, is_tap: bool = False, feed_id: str | None = None
    ) -> None:
        """Relay a source to the engine of a ticket, or to the process with the tap.

        `feed_id` is the connection id of an encoder: only its feed is relayed then, whether viewers see it or not, for
        as long as it is open. An unknown source or feed is ignored: it has ended meanwhile, and the unused ticket
        expires."""
        source = self._sources.get(source_id)
        feed = None if feed_id is None else self._feeds.find(source_id, feed_id)
        if source is not None and (feed is not None or feed_id is None):
            self._relay_senders.start(source, ticket, is_tap=is_tap, feed=feed)

    def _check_limits(self) -> None:
        count = len(self._connections) + len(self._feeds) + len(self._relayed)
        if count >= self._settings.max_connections or not self._connections.make_room(self._clock()):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the engine has too many connections")


def _call_later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call)
