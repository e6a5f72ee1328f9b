"""The stage manager: what the doors may ask, in one place.

Everything it answers is durable in the book before the answer. It owns the parts below it and the timers (the linger
of sessions, the longest duration of a stream); what each part does is its own module's story.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from stagebook.book.store import Book, BookReader
from stagebook.manager.participants.engine_events import EngineEvents
from stagebook.manager.participants.join_pipeline import JoinPipeline, Opened
from stagebook.manager.participants.quotas import Quotas
from stagebook.manager.participants.redundant_ingest import RedundantIngest
from stagebook.manager.participants.replicas import Replicas
from stagebook.manager.participants.rtmp_join import RtmpJoin
from stagebook.manager.participants.source_leases import SourceLeases
from stagebook.manager.participants.stream_timeouts import StreamTimeouts
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.participants.token_exchange_service import TokenExchangeService
from stagebook.manager.participants.webrtc_join import WebrtcJoin
from stagebook.manager.presence.presence import PresencePublisher
from stagebook.manager.presence.watchers import StageWatcher
from stagebook.manager.recovery import recover
from stagebook.manager.resources.configuration_service import ConfigurationService
from stagebook.manager.resources.connection_token_service import ConnectionTokenService
from stagebook.manager.resources.ingest_configuration_index import IngestConfigurationIndex
from stagebook.manager.resources.ingest_configuration_service import IngestConfigurationService
from stagebook.manager.resources.public_key_service import PublicKeyService
from stagebook.manager.resources.replication_service import ReplicationService
from stagebook.manager.resources.stage_service import StageService
from stagebook.manager.session.running_sessions import Route, RunningSessions
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.manager.tokens.token_authority import Endpoints, TokenAuthority
from stagebook.media.port import MediaEngine, MediaRefusedError, PatchAnswer, RefusalReason
from stagebook.stage.claims import Claims, MintedToken, TokenSpec
from stagebook.stage.clock import Clock, Randomness
from stagebook.stage.errors import (
    ConnectionNotFoundError,
    IceSessionMismatchError,
    OfferMalformedError,
    ServerBusyError,
)
from stagebook.stage.events import Cause
from stagebook.stage.limits import Limits
from stagebook.stage.participant import ConnectionKind
from stagebook.stage.resources import ClientInfo, Stage

__all__ = ["Opened", "StageManager"]


class StageManager:
    """The only writer. See the module's docstring."""

    def __init__(
        self,
        *,
        book: Book,
        media: MediaEngine,
        tokens: TokenAuthority,
        endpoints: Endpoints,
        limits: Limits,
        region: str,
        clock: Clock,
        randomness: Randomness,
        linger_ms: int,
    ) -> None:
        self.book: BookReader = book
        self.endpoints = endpoints
        self.limits = limits
        self.region = region
        self._media = media
        self._ledger = UnitOfWork(
            book=book, live=RunningSessions(), clock=clock, randomness=randomness, linger_ms=linger_ms
        )
        self._board = PresencePublisher(ledger=self._ledger)
        self._ledger.changed = self._board.changed
        self._ingest_index = IngestConfigurationIndex(book=book)
        self._admission = Authorization(book=book, tokens=tokens, ingest_index=self._ingest_index)
        self._open_stages(media, randomness)
        self._open_resources(book, tokens, randomness)

    def _open_stages(self, media: MediaEngine, randomness: Randomness) -> None:
        """Make the parts that bring participants onto stages, keep them there, and see them off."""
        ledger, live = self._ledger, self._ledger.live
        self._replicas = Replicas(ledger=ledger)
        self._endings = Teardown(ledger=ledger, board=self._board, media=media, replicas=self._replicas)
        room = Quotas(live=live, limits=self.limits)
        entrance = JoinPipeline(ledger=ledger, media=media, admission=self._admission, room=room, randomness=randomness)
        slots = SourceLeases(live=live, media=media, randomness=randomness)
        self._joining = WebrtcJoin(live=live, board=self._board, media=media, entrance=entrance, room=room, slots=slots)
        self._ingest = RtmpJoin(
            ledger=ledger, media=media, endings=self._endings, entrance=entrance, room=room, slots=slots
        )
        self.exchange = TokenExchangeService(ledger=ledger, endings=self._endings, admission=self._admission)
        self.connection_tokens = ConnectionTokenService(ledger=ledger, endings=self._endings, admission=self._admission)
        self._deadlines = StreamTimeouts(ledger=ledger, endings=self._endings, limits=self.limits)
        self._hearing = EngineEvents(
            ledger=ledger,
            endings=self._endings,
            replicas=self._replicas,
            virtual=RedundantIngest(ledger=ledger, replicas=self._replicas, randomness=randomness),
            ingest=self._ingest,
            limits=self.limits,
            flowing=self._deadlines.flowing,
            closed_early=entrance.closed_early,
        )

    def _open_resources(self, book: Book, tokens: TokenAuthority, randomness: Randomness) -> None:
        """Make the parts that serve the resource operations."""
        ledger, endings, admission, limits = self._ledger, self._endings, self._admission, self.limits
        self.public_keys = PublicKeyService(ledger=ledger, limits=limits, region=self.region, randomness=randomness)
        self.configurations = ConfigurationService(
            ledger=ledger, limits=limits, region=self.region, randomness=randomness
        )
        self.ingest_configurations = IngestConfigurationService(
            ledger=ledger,
            endings=endings,
            admission=admission,
            index=self._ingest_index,
            limits=limits,
            region=self.region,
            randomness=randomness,
        )
        self.replication = ReplicationService(
            book=book,
            ledger=ledger,
            replicas=self._replicas,
            endings=endings,
            admission=admission,
            limits=limits,
            randomness=randomness,
        )
        self._desk = StageService(
            book=book,
            ledger=ledger,
            endings=endings,
            admission=admission,
            ingest=self.ingest_configurations,
            tokens=tokens,
            limits=limits,
            region=self.region,
            randomness=randomness,
        )

    async def start(self) -> int:
        """Close what the last run left open and listen to the engine; return how many sessions were open."""
        self._media.listen(self._hearing.hear)
        return await recover(self._ledger.book, now_ms=self._ledger.now_ms, linger_ms=self._ledger.linger_ms)

    @property
    def unknown_stream_keys(self) -> int:
        """How many encoders came, since the start, with a stream key that opens no stage."""
        return self._ingest.unknown_stream_keys

    async def settled(self) -> None:
        """Wait until everything that was told so far is decided and durable, and the engine knows what to close."""
        await self._ingest.settled()
        await self._ledger.settled()
        await self._endings.settled()

    async def shutdown(self) -> None:
        """Everybody leaves, every session ends. After this nothing may be asked any more."""
        self._ingest.stop()
        for session in tuple(self._ledger.live.sessions.values()):
            changes = self._endings.everybody_gone(session, cause=Cause.SHUTDOWN)
            changes += self._ledger.end(session, end_ms=self._ledger.now_ms())
            self._ledger.submit(changes)
        await self._ledger.settled()
        await self._board.close()
        await self._ingest.settled()
        await self._endings.settled()

    def tick(self) -> None:
        """Do what is due: end replications that waited long enough and sessions that lingered long enough, cut streams
        that last too long. Call it several times a second."""
        self.replication.tick()
        for session, end_ms in self._ledger.overdue():
            self._ledger.submit(self._ledger.end(session, end_ms=end_ms))
        self._deadlines.tick()

    async def run_timers(self, *, interval_seconds: float = 0.2) -> None:
        """Call `tick` for ever."""
        while True:
            self.tick()
            await asyncio.sleep(interval_seconds)

    async def create_stage(
        self,
        *,
        account_id: str,
        name: str,
        tags: dict[str, str],
        recording: dict[str, Any],
        tokens: Sequence[TokenSpec],
    ) -> tuple[Stage, list[MintedToken]]:
        """Create a stage and mint its first tokens, in the order asked for.

        Raises InvalidInputError (tags, attributes) and ServiceQuotaExceededError.
        """
        return await self._desk.create_stage(
            account_id=account_id, name=name, tags=tags, recording=recording, tokens=tokens
        )

    async def update_stage(self, *, stage_arn: str, name: str | None, recording: dict[str, Any] | None) -> Stage:
        """Change what is given (None: leave it). Raises ResourceNotFoundError."""
        return await self._desk.update_stage(stage_arn=stage_arn, name=name, recording=recording)

    async def delete_stage(self, *, stage_arn: str) -> None:
        """Disconnect everybody, end the session, delete the stage. Raises ResourceNotFoundError."""
        await self._desk.delete_stage(stage_arn=stage_arn)

    async def create_participant_token(self, *, stage_arn: str, spec: TokenSpec) -> MintedToken:
        """Mint a token for a new participant. Raises ResourceNotFoundError and InvalidInputError (attributes)."""
        return await self._desk.create_participant_token(stage_arn=stage_arn, spec=spec)

    async def disconnect_participant(self, *, stage_arn: str, participant_id: str, reason: str) -> None:
        """End a participant's connections and make its token worthless for good; also one who never joined.

        Raises ResourceNotFoundError for an unknown stage.
        """
        await self._desk.disconnect_participant(stage_arn=stage_arn, participant_id=participant_id, reason=reason)

    async def add_tags(self, *, arn: str, tags: dict[str, str]) -> None:
        """Add or replace tags. Raises ResourceNotFoundError and InvalidInputError."""
        await self._desk.add_tags(arn=arn, tags=tags)

    async def remove_tags(self, *, arn: str, keys: Sequence[str]) -> None:
        """Remove tags. Raises ResourceNotFoundError."""
        await self._desk.remove_tags(arn=arn, keys=keys)

    def admit(self, token: str, *, connection_token: str | None = None) -> Claims:
        """Return what a participant token grants, shown over a connection of `connection_token` if there is one.

        Raises TokenRefusedError; makes no event.
        """
        return self._admission.admit(token, now_ms=self._ledger.now_ms(), connection_token=connection_token)

    def identify(self, token: str) -> Claims:
        """Return whose token this is, even after it has expired: who is in may always change and end what it has.

        Raises TokenRefusedError for a token that never was good.
        """
        return self._admission.identify(token)

    async def publish(self, claims: Claims, *, offer: str, client: ClientInfo) -> Opened:
        """Take a publisher's SDP offer. A participant who publishes already replaces its former connection.

        Raises AttemptRefusedError (recorded as PUBLISH_ERROR or JOIN_ERROR), OfferMalformedError,
        TokenRefusedError and ServerBusyError.
        """
        return await self._joining.publish(claims, offer=offer, client=client)

    async def subscribe(self, claims: Claims, *, publisher_id: str, offer: str, client: ClientInfo) -> Opened:
        """Take a viewer's SDP offer for one publisher of the same stage.

        Raises AttemptRefusedError (recorded as SUBSCRIBE_ERROR or JOIN_ERROR), OfferMalformedError,
        TokenRefusedError and ServerBusyError.
        """
        return await self._joining.subscribe(claims, publisher_id=publisher_id, offer=offer, client=client)

    async def open_events(self, claims: Claims, *, watcher: StageWatcher, client: ClientInfo) -> str:
        """Let a participant watch its stage; return the connection's id. The first snapshot follows soon.

        Raises AttemptRefusedError (recorded as JOIN_ERROR) and TokenRefusedError.
        """
        return await self._joining.open_events(claims, watcher=watcher, client=client)

    async def exchange_token(self, *, connection_id: str, token: str) -> Claims:
        """Let the participant of an events connection go on with another token; see Exchange.exchange_token."""
        return await self.exchange.exchange_token(connection_id=connection_id, token=token)

    async def close_events(self, *, connection_id: str, cause: Cause) -> None:
        """The websocket of an events connection is gone. An id that is not open any more is fine."""
        route = self._ledger.live.routes.get(connection_id)
        if route is not None and route.kind is ConnectionKind.EVENTS:
            await self._end(route, connection_id, cause)

    async def close(self, claims: Claims, *, connection_id: str) -> None:
        """A participant ends a media connection of its own. Raises ConnectionNotFoundError."""
        await self._end(self._own_route(claims, connection_id), connection_id, Cause.CLIENT)

    async def patch(self, claims: Claims, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Take a trickle or ICE-restart fragment. Raises ConnectionNotFoundError, OfferMalformedError,
        IceSessionMismatchError and ServerBusyError."""
        self._own_route(claims, connection_id)
        try:
            return await self._media.patch(connection_id=connection_id, fragment=fragment, ice_session=ice_session)
        except MediaRefusedError as error:
            if error.reason is RefusalReason.ICE_SESSION_MISMATCH:
                raise IceSessionMismatchError from error
            if error.reason in (RefusalReason.UNKNOWN_CONNECTION, RefusalReason.ENGINE_LOST):
                raise ConnectionNotFoundError from error
            if error.reason is RefusalReason.BUSY:
                raise ServerBusyError(error.detail) from error
            raise OfferMalformedError(error.detail) from error

    def _own_route(self, claims: Claims, connection_id: str) -> Route:
        route = self._ledger.live.routes.get(connection_id)
        own = (
            route is not None
            and route.kind in (ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE)
            and route.session.stage_arn == claims.stage_arn
            and route.participant_id == claims.participant_id
        )
        if route is None or not own:
            raise ConnectionNotFoundError
        return route

    async def _end(self, route: Route, connection_id: str, cause: Cause) -> None:
        changes = self._endings.gone(route.session, route.participant_id, [connection_id], cause=cause)
        await self._ledger.commit(route.session, changes)
