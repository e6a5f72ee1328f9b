"""One engine: sources, their publishers' and viewers' connections, and the sockets, put together.

Knows connections and sources by the caller's ids; no stage, no participant, no token.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
)
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RemoteTransport, ViewerPlan
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import SentTrack, write_publisher_answer, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.trickle_fragment import parse_fragment, write_restart_fragment
from stagebook.media.rtc.sfu.encoder.encoder_feeds import Feeds
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.source import Source
from stagebook.media.rtc.sfu.viewer import Viewer, make_viewer_track
from stagebook.media.rtc.transport.peer_connection import PeerConnection, PeerState
from stagebook.media.rtc.transport.shared_transport import SharedTransport

TICK_SECONDS = 0.25
"""How often handshakes, layers and silent peers are looked after. What is missing of a stream is asked for as its
packets come; the tick does so for a stream that has stopped."""
_SECOND_TICKS = 4
MAX_CONNECTING = 512
"""Connections whose handshake is not done: a storm waits at the door, not in our memory."""


class _Connection(NamedTuple):
    """One entry of the forwarder's table. `publisher` is None for a viewer."""

    peer: PeerConnection
    plan: PublisherPlan | ViewerPlan
    source: Source
    publisher: Publisher | None


class Forwarder:
    """The forwarder of one process. All methods are called on its event loop's thread.

    `clock` gives monotonic seconds, `wall_clock` seconds since 1970 (for the NTP times of sender reports and the
    certificate), `randomness` must be fit for secrets (random.SystemRandom).
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        hear: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        self._settings = settings
        self._hear = hear
        self._clock = clock
        self._wall_clock = wall_clock
        self._randomness = randomness
        self._transport = SharedTransport(settings, wall_clock=wall_clock, clock=clock, randomness=randomness)
        self._cname = self._token()
        self._connections: dict[str, _Connection] = {}
        self._connecting: dict[str, PeerConnection] = {}
        self._sources: dict[str, Source] = {}
        self._feeds = Feeds(
            self._sources,
            hear=hear,
            clock=clock,
            wall_clock=wall_clock,
            randomness=randomness,
            call_later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            ticket_seconds=settings.feed_ticket_seconds,
        )
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Bind the sockets and start the timers. Raises OSError if an address cannot be bound."""
        if self._settings.feed_directory:
            await self._feeds.start(self._settings.feed_directory)
        self._transport.start(asyncio.get_running_loop())
        self._schedule()

    async def stop(self) -> None:
        """Say goodbye to all peers and close the sockets. No facts are told."""
        if self._timer is not None:
            self._timer.cancel()
        for connection_id in list(self._connections):
            self._drop(connection_id)
        await self._feeds.stop()
        self._sources.clear()
        self._transport.stop(asyncio.get_running_loop())

    @property
    def udp_port(self) -> int:
        """The bound port: the chosen one where the settings say 0."""
        return self._transport.udp_port

    # The port's commands

    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish, without waiting. Raises MediaRefusedError."""
        self._admit()
        source = self._sources.get(source_id)
        if not isinstance(source, PublishedSource | None):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="an encoder publishes the source")
        plan = negotiate_publisher(
            parse_description(offer),
            video_codecs=self._settings.video_codecs,
            current=None if source is None else source.format,
        )
        if source is None:
            source = PublishedSource(
                source_id,
                plan,
                name=self._token(),
                random_bits=self._randomness.getrandbits,
                wall_clock=self._wall_clock,
            )
            self._sources[source_id] = source
        publisher = Publisher(
            plan,
            ssrc=self._randomness.getrandbits(32),
            cname=self._cname.encode(),
            ceiling_bps=self._settings.max_bitrate_bps,
            clocks=source,
            on_closed=source.release,
        )
        peer = self._open(connection_id, plan, source, publisher)
        answer = write_publisher_answer(plan, local=self._transport.describe(peer))
        return Answer(sdp=answer, ice_session=peer.credentials.ufrag)

    def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.subscribe, without waiting. Raises MediaRefusedError."""
        self._admit()
        source = self._sources.get(source_id)
        if source is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        plan = negotiate_viewer(parse_description(offer), source=source.format)
        by_mid = {
            track.mid: make_viewer_track(track, source.tracks[track.kind], self._randomness.getrandbits)
            for track in plan.tracks
        }
        viewer = Viewer(tracks={track.outlet.ssrc: track for track in by_mid.values()}, cname=source.name.encode())
        peer = self._open(connection_id, plan, source, viewer)
        source.viewers[connection_id] = viewer
        answer = write_viewer_answer(
            plan,
            local=self._transport.describe(peer),
            sent={mid: SentTrack(ssrc=track.outlet.ssrc, rtx_ssrc=track.rtx_ssrc) for mid, track in by_mid.items()},
            stream_id=source.name,
            cname=source.name,
        )
        return Answer(sdp=answer, ice_session=peer.credentials.ufrag)

    def feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Let an encoder's media in for a source, as MediaEngine.ingest says. Raises MediaRefusedError (BUSY)."""
        self._admit()
        return self._feeds.open(connection_id=connection_id, source_id=source_id, is_redundant=is_redundant)

    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch, without waiting. Raises MediaRefusedError."""
        connection = self._connections.get(connection_id)
        if connection is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="there is no such connection")
        peer = connection.peer
        said = parse_fragment(fragment)
        if ice_session not in (None, "*", peer.credentials.ufrag):
            raise MediaRefusedError(
                reason=RefusalReason.ICE_SESSION_MISMATCH, detail="the ICE session is not the current one"
            )
        if said.ufrag is None or said.pwd is None or not said.restarts(ufrag=peer.remote.ufrag, pwd=peer.remote.pwd):
            # Trickle: an ICE-lite agent learns the peer's addresses from its checks and needs no candidates.
            return PatchAnswer(fragment=None, ice_session=peer.credentials.ufrag)
        remote = RemoteTransport(ufrag=said.ufrag, pwd=said.pwd, fingerprints=peer.remote.fingerprints)
        self._transport.restart_ice(peer, remote)
        first = connection.plan.tracks[0]
        answer = write_restart_fragment(self._transport.describe(peer), mid=first.mid, kind=first.kind)
        return PatchAnswer(fragment=answer, ice_session=peer.credentials.ufrag)

    def close(self, *, connection_id: str) -> None:
        """End one connection; no fact is told. Unknown ids are fine."""
        self._drop(connection_id)
        self._feeds.close(connection_id)

    def end_source(self, *, source_id: str) -> None:
        """End a source, its publisher's connections and its viewers'; no facts are told. Unknown ids are fine."""
        self._feeds.end_source(source_id)
        source = self._sources.pop(source_id, None)
        if source is None:
            return
        for connection_id, connection in list(self._connections.items()):
            if connection.source is source:
                self._drop(connection_id)

    # PeerListener

    def peer_connected(self, peer: PeerConnection, now: float) -> None:
        """A connection is up. A publisher takes its source over, and older connections of the source end."""
        self._connecting.pop(peer.connection_id, None)
        connection = self._connections[peer.connection_id]
        if connection.publisher is not None and isinstance(connection.source, PublishedSource):
            self._take_over(connection, connection.source, connection.publisher, now)
        self._hear(Connected(connection_id=peer.connection_id))

    def peer_failed(self, peer: PeerConnection, cause: CloseCause) -> None:
        """A connection ended by itself."""
        if self._drop(peer.connection_id):
            self._hear(Closed(connection_id=peer.connection_id, cause=cause))

    def _take_over(self, connection: _Connection, source: PublishedSource, publisher: Publisher, now: float) -> None:
        for connection_id, other in list(self._connections.items()):
            if other is connection:
                # The table is in the order of coming: what follows is newer and may take over in its turn.
                break
            if other.source is source and other.publisher is not None:
                self._drop(connection_id)
        if not source.keeps_viewers(publisher.plan):
            for connection_id in list(source.viewers):
                self.peer_failed(self._connections[connection_id].peer, CloseCause.SOURCE_CHANGED)
        source.take_over(publisher, now)

    # The table

    def _admit(self) -> None:
        count = len(self._connections) + len(self._feeds)
        if count >= self._settings.max_connections or len(self._connecting) >= MAX_CONNECTING:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the engine has too many connections")

    def _open(
        self,
        connection_id: str,
        plan: PublisherPlan | ViewerPlan,
        source: Source,
        end: Publisher | Viewer,
    ) -> PeerConnection:
        if connection_id in self._connections:
            raise ValueError(f"connection {connection_id} exists")
        peer = self._transport.open_peer(
            connection_id=connection_id, remote=plan.remote, endpoint=end, listener=self, now=self._clock()
        )
        publisher = end if isinstance(end, Publisher) else None
        self._connections[connection_id] = _Connection(peer, plan, source, publisher)
        self._connecting[connection_id] = peer
        return peer

    def _drop(self, connection_id: str) -> bool:
        """Close and forget. False if it was unknown."""
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return False
        self._connecting.pop(connection_id, None)
        connection.source.viewers.pop(connection_id, None)
        self._transport.close_peer(connection.peer)
        return True

    def _token(self) -> str:
        return f"{self._randomness.getrandbits(96):024x}"

    # Time

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._schedule()
        now = self._clock()
        self._ticks += 1
        for peer in list(self._connecting.values()):
            peer.handle_timers(now)
        for source in self._sources.values():
            source.look_after(now)
        self._sweep(now)
        if self._ticks % _SECOND_TICKS == 0:
            self._each_second(now)

    def _sweep(self, now: float) -> None:
        """End what never connected and what has given no consent for too long (RFC 7675)."""
        for connection in list(self._connections.values()):
            peer = connection.peer
            if peer.state is PeerState.CONNECTING:
                if now - peer.opened_at > self._settings.connect_timeout_seconds:
                    self.peer_failed(peer, CloseCause.NEVER_CONNECTED)
            elif now - peer.consent_at > self._settings.consent_timeout_seconds:
                self.peer_failed(peer, CloseCause.CONSENT_LOST)

    def _each_second(self, now: float) -> None:
        self._transport.reset_rate_limits()
        self._feeds.sweep(now)
        for connection in self._connections.values():
            connection.peer.reset_rate_limit()
        for source in list(self._sources.values()):
            source.tick(now)
            for measured in source.measure(now):
                self._hear(measured)
