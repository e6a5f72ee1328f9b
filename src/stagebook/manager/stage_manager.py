"""The stage manager: the services behind the APIs, wired over one unit of work.

It is the only writer of the book. Everything that a service answers is durable before the answer. The APIs call the
services directly:

    manager.stages                 stages, DisconnectParticipant
    manager.tags                   tags of all resources
    manager.tokens                 CreateParticipantToken
    manager.participants           the participants API: publish, subscribe, events websocket, token exchange
    manager.replications           participant replication
    manager.connection_tokens      RevokeConnectionToken
    manager.public_keys            public keys
    manager.ingest_configurations  ingest configurations
    manager.configurations         encoder and storage configurations
    manager.compositions           server-side composition
    manager.live                   what is live on the stages at this moment
    manager.room_records           what happened in the rooms of an external LiveKit server
    manager.control                what a test controls in decisions
"""

import asyncio
from collections.abc import Collection
from itertools import islice

from stagebook.book.decision_book import DecisionBook
from stagebook.manager.compositions.composition_requests import CompositionRequests
from stagebook.manager.compositions.composition_service import ChannelDirectory, CompositionService
from stagebook.manager.participants.engine_events import EngineEvents
from stagebook.manager.participants.participant_service import ParticipantService
from stagebook.manager.participants.rtmp_join import RtmpJoin
from stagebook.manager.presence.presence import PresencePublisher
from stagebook.manager.recordings.recording_service import RecordingService
from stagebook.manager.recovery import recover
from stagebook.manager.resources.configuration_service import ConfigurationService
from stagebook.manager.resources.connection_token_service import ConnectionTokenService
from stagebook.manager.resources.ingest_configuration_index import IngestConfigurationIndex
from stagebook.manager.resources.ingest_configuration_service import IngestConfigurationService
from stagebook.manager.resources.public_key_service import PublicKeyService
from stagebook.manager.resources.replication_service import ReplicationService
from stagebook.manager.resources.stage_service import StageService
from stagebook.manager.resources.tag_service import TagService
from stagebook.manager.resources.token_service import TokenService
from stagebook.manager.session.decision_control import DecisionControl
from stagebook.manager.session.live_state import LiveState
from stagebook.manager.session.observed_rooms import ObservedRooms, RoomRecords
from stagebook.manager.session.order_dispatcher import OrderDispatcher
from stagebook.manager.session.transaction import SessionRules
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.manager.tokens.token_authority import Endpoints, TokenAuthority
from stagebook.media.composition.composition_port import CompositionEngine
from stagebook.media.port import MediaEngine
from stagebook.media.recording.recording_port import RecordingEngine
from stagebook.stage.clock import Clock, Instant, Randomness
from stagebook.stage.events import Cause
from stagebook.stage.limits import Limits
from stagebook.stage.room_stages import is_room_stage
from stagebook.stage.session.session_facts import SessionClosed
from stagebook.stage.session.session_state import Session

TIMER_INTERVAL_SECONDS = 0.2
"""How often the queue is checked for due timers, whose durations are whole seconds."""


class StageManager:
    """All services of one server."""

    def __init__(
        self,
        *,
        book: DecisionBook,
        media: MediaEngine,
        tokens: TokenAuthority,
        endpoints: Endpoints,
        limits: Limits,
        region: str,
        clock: Clock,
        randomness: Randomness,
        connection_randomness: Randomness | None = None,
        linger_ms: int,
        recording: RecordingEngine | None = None,
        composition: CompositionEngine | None = None,
        channel_url: ChannelDirectory = lambda _channel_arn: None,
    ) -> None:
        """`recording` records participants; without it, no stage can be configured for it.

        `composition` composes stages; without it, StartComposition is refused. `channel_url` finds its channels.

        `connection_randomness` is for ids that are unique in the server; by default `randomness`, which is for all.

        `randomness` may repeat itself: an id that exists is drawn again.
        """
        self.endpoints = endpoints
        self.limits = limits
        self.region = region
        self._media = media
        of_connections = connection_randomness or randomness
        dispatcher = OrderDispatcher(media=media)
        rules = SessionRules(limits=limits, linger_ms=linger_ms)
        self._unit = UnitOfWork(book=book, clock=clock, randomness=randomness, rules=rules, dispatcher=dispatcher)
        self.control = DecisionControl(self._unit)
        self.live = LiveState(registry=self._unit.registry, media=media)
        self._presence = PresencePublisher(sessions=self._unit.registry.sessions, durable=self._unit.durable)
        self._unit.changed = self._session_changed
        dispatcher.close_events = self._presence.close
        self._index = IngestConfigurationIndex()
        self._authorization = Authorization(book=book, tokens=tokens, is_ingest_participant=self._index.has_participant)
        self._open_recordings(book, recording, of_connections)
        self._open_compositions(composition, channel_url, randomness)
        self._open_participants(media, of_connections)
        self._open_resources(book, tokens, randomness, of_connections)

    def _open_recordings(self, book: DecisionBook, engine: RecordingEngine | None, randomness: Randomness) -> None:
        """Create the service of recordings."""
        self._recordings = RecordingService(
            engine=engine,
            book=book,
            pending=self._unit.pending,
            randomness=randomness,
            now=self._unit.now,
            submit=self._unit.submit,
        )
        if engine is not None:
            self._unit.recordings = self._recordings

    def _open_compositions(
        self, engine: CompositionEngine | None, channel_url: ChannelDirectory, randomness: Randomness
    ) -> None:
        """Create the service of compositions."""
        requests = CompositionRequests(
            unit=self._unit,
            authorization=self._authorization,
            channel_url=channel_url,
            limits=self.limits,
            region=self.region,
            randomness=randomness,
        )
        self.compositions = CompositionService(unit=self._unit, engine=engine, requests=requests)

    def _open_participants(self, media: MediaEngine, randomness: Randomness) -> None:
        """Create the services of participants and the listener of the media engine."""
        self.participants = ParticipantService(
            unit=self._unit,
            media=media,
            authorization=self._authorization,
            presence=self._presence,
            randomness=randomness,
            endpoints=self.endpoints,
        )
        self._rtmp_join = RtmpJoin(
            unit=self._unit, media=media, authorization=self._authorization, randomness=randomness
        )
        self._engine_events = EngineEvents(unit=self._unit, ingest_asked=self._rtmp_join.on_asked)

    def _open_resources(
        self, book: DecisionBook, tokens: TokenAuthority, randomness: Randomness, of_connections: Randomness
    ) -> None:
        """Create the services of resources. `of_connections` is for ids that are unique in the server."""
        unit, authorization, limits, region = self._unit, self._authorization, self.limits, self.region
        self.public_keys = PublicKeyService(unit=unit, limits=limits, region=region)
        self.configurations = ConfigurationService(
            unit=unit, limits=limits, region=region, require_unused=self._require_unused
        )
        self.ingest_configurations = IngestConfigurationService(
            unit=unit,
            authorization=authorization,
            index=self._index,
            limits=limits,
            region=region,
            randomness=randomness,
        )
        self.connection_tokens = ConnectionTokenService(unit=unit, authorization=authorization)
        self.tokens = TokenService(
            unit=unit, authority=tokens, authorization=authorization, limits=limits, randomness=randomness
        )
        self.stages = StageService(
            book=book,
            unit=unit,
            authorization=authorization,
            ingest=self.ingest_configurations,
            tokens=self.tokens,
            limits=limits,
            region=region,
            on_deleted=self.compositions.stage_deleted,
            recordings=self._recordings,
        )
        self.room_records = RoomRecords(unit, note_created=self.stages.note_created)
        self.tags = TagService(unit=unit, stages=self.stages, compositions=self.compositions)
        self.replications = ReplicationService(
            book=book, unit=unit, authorization=authorization, limits=limits, randomness=of_connections
        )

    def observe(self, rooms: ObservedRooms) -> None:
        """Add the rooms of an external LiveKit server, whose sessions survive a restart. Call it before `start`."""
        self.live.rooms = rooms
        self.stages.rooms = rooms

    def require_capacity(self) -> None:
        """Raise ServerBusyError if too many transactions wait for the book."""
        self._unit.require_capacity()

    async def durable(self) -> None:
        """Wait until everything submitted so far is in the book. Raises BookFailedError."""
        await self._unit.durable()

    async def note_open_events(self) -> None:
        """Add all events so far to the book's list of open participants. Raises BookFailedError and BookBusyError."""
        await self._unit.book.note_open_events()

    @property
    def submitted_time_ms(self) -> int:
        """The time of the newest event that was submitted, in ms since the epoch. No later one is below it."""
        return self._unit.book.submitted_time_ms

    async def start(self) -> int:
        """Register for the reports of the media engine, and recover all accounts; see `recover`.

        Call it before the APIs accept requests.
        """
        self.listen()
        return await self.recover()

    def listen(self) -> None:
        """Register for the reports of the media engine."""
        self._media.listen(self._engine_events.on_fact)

    async def recover(self, account_id: str | None = None) -> int:
        """Index the keys and configurations of an account, and close the sessions that an interrupted run left open.

        None stands for all accounts. Returns how many sessions were open. Call it before the account is served; other
        accounts may be in use meanwhile.
        """
        self._unit.follow_book()
        await self._index.load(self._unit.book, account_id)
        await self.public_keys.load(account_id)
        recordings = await self._recordings.interrupted(account_id)
        recovered = await recover(
            self._unit, account_id=account_id, recordings=recordings, leaves_open=self._is_observed
        )
        await self.compositions.recover(account_id)
        return recovered

    def _is_observed(self, stage_arn: str) -> bool:
        return self.live.rooms is not None and is_room_stage(stage_arn)

    def _require_unused(self, arn: str) -> None:
        self.compositions.require_unused(arn)
        self._recordings.require_unused(arn)

    def _session_changed(self, session: Session, participant_ids: Collection[str]) -> None:
        self._presence.changed(session, participant_ids)
        self.compositions.session_changed(session)

    @property
    def unknown_stream_keys(self) -> int:
        """How many encoders were refused because their stream key names no attached configuration."""
        return self._rtmp_join.unknown_stream_keys

    def now(self) -> Instant:
        """Return the present moment of the event clock, which times the events of the book."""
        return self._unit.now()

    async def settled(self) -> None:
        """Wait until all reports and requests so far are decided and durable, and their orders are carried out."""
        await self._rtmp_join.settled()
        is_newest = await self._unit.settled()
        if self.compositions.has_changes or not is_newest:
            await self.compositions.settled()
            await self._unit.settled()

    async def shutdown(self) -> None:
        """Let all participants leave, end all sessions, and return when that is durable.

        The manager must not be used afterwards.
        """
        self._rtmp_join.stop()
        await self.compositions.shutdown()
        for session in tuple(self._unit.registry.sessions.values()):
            transaction = self._unit.begin()
            # The end of one session can end another one, whose last participants were replicas.
            current = self._unit.registry.sessions.get(session.stage_arn)
            if current is not None:
                transaction.apply(current, SessionClosed(cause=Cause.SHUTDOWN))
                transaction.commit()
        await self._unit.settled()
        await self._recordings.shutdown()
        await self._presence.stop()
        await self.settled()

    async def stop_watching(self) -> None:
        """Cancel the snapshots and pictures that are scheduled, without a shutdown."""
        await self.compositions.stop_showing()
        await self._presence.stop()

    @property
    def next_timer_ms(self) -> int | None:
        """The monotonic time at which the next timer is due, None without timers."""
        due = (self._unit.timers.next_due_ms, self.compositions.next_due_ms, self._recordings.next_due_ms)
        return min((each for each in due if each is not None), default=None)

    def tick(self, *, at_most: int | None = None) -> None:
        """Decide the timers that are due: lingers, stream durations, reconnect windows, compositions.

        Each is one transaction.

        With `at_most`, the timers above this number stay due.
        """
        for timer in islice(self._unit.timers.due(self._unit.now().monotonic_ms), at_most):
            session = self._unit.registry.sessions.get(timer.stage_arn)
            if session is not None:
                transaction = self._unit.begin()
                transaction.apply(session, timer.fact)
                transaction.commit()
        self.compositions.tick()
        self._recordings.tick()

    async def run_timers(self, *, interval_seconds: float = TIMER_INTERVAL_SECONDS) -> None:
        """Call `tick` until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(interval_seconds)
