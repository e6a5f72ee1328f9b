"""How encoders come in: by the stream key of an ingest configuration that is attached to a stage.

Source: user guide, "RTMP Publishing"; API reference, IngestConfiguration and EventErrorCode. The questions are asked in
this order, and the first that fails refuses:

1. Does the key name a configuration that is attached to a stage? If not, it is counted and logged: nobody's event.
2. Can the book keep up? If not, no event either.
3. Is the key that of a stream (INVALID_STREAM_KEY, the configuration's participant), was the protocol allowed
   (INVALID_PROTOCOL), is the key free (REUSE_OF_STREAM_KEY), is there room (QUOTA_EXCEEDED)?

Who passes is JOINED, durably, before the encoder hears of it; so whatever the engine tells next finds its participant.
A participant of a configuration can publish and nothing else. Knows no RTMP; no key leaves this module.
"""

import asyncio
import hmac

import structlog

from stagebook.manager.participants.join_pipeline import Attempt, JoinPipeline
from stagebook.manager.participants.quotas import Quotas
from stagebook.manager.participants.source_leases import SourceLeases
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.session.running_sessions import SourceLease
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.port import IngestAsked, MediaEngine, MediaRefusedError, RefusalReason
from stagebook.stage.claims import ingest_claims
from stagebook.stage.errors import (
    AttemptRefusedError,
    ServerBusyError,
    StagebookError,
    StreamKeyUnknownError,
)
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.facts import Accepted
from stagebook.stage.participant import ConnectionKind
from stagebook.stage.resources import ClientInfo, IngestConfiguration, ParticipantProtocol
from stagebook.stage.stream_keys import configuration_of_stream_key

_log = structlog.get_logger(__name__)


class RtmpJoin:
    """Answers every encoder that asks."""

    def __init__(
        self,
        *,
        ledger: UnitOfWork,
        media: MediaEngine,
        endings: Teardown,
        entrance: JoinPipeline,
        room: Quotas,
        slots: SourceLeases,
    ) -> None:
        self.unknown_stream_keys = 0
        self._ledger = ledger
        self._media = media
        self._endings = endings
        self._entrance = entrance
        self._room = room
        self._slots = slots
        self._answers: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def hear(self, ask: IngestAsked) -> None:
        """Answer an encoder soon."""
        task = asyncio.get_running_loop().create_task(self._answer(ask))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def stop(self) -> None:
        """Let nobody in any more."""
        self._is_stopping = True

    async def settled(self) -> None:
        """Wait until everybody who asked so far was answered."""
        while self._answers:
            await asyncio.gather(*self._answers, return_exceptions=True)

    async def _answer(self, ask: IngestAsked) -> None:
        try:
            if self._is_stopping:
                raise ServerBusyError("the server is stopping")
            await self._let_in(ask)
        except StagebookError as error:
            detail = f"{_code_of(error).value}: {error}"
            self.unknown_stream_keys += isinstance(error, StreamKeyUnknownError)
            named = configuration_of_stream_key(ask.stream_key)
            _log.info("an encoder was refused", address=ask.remote_address, configuration=str(named or ""), why=detail)
            await self._refuse(ask, detail)

    async def _refuse(self, ask: IngestAsked, detail: str) -> None:
        """Tell the encoder. Only a key that is nobody's is a guess: an encoder that comes too early, or once too often,
        has a good one."""
        configuration = self._named_by(ask.stream_key)
        is_wrong_key = configuration is None or _participant_of(configuration, ask.stream_key) is None
        await self._media.refuse_ingest(ask_id=ask.ask_id, detail=detail, is_wrong_key=is_wrong_key)

    async def _let_in(self, ask: IngestAsked) -> None:
        """Let the encoder publish; raise StagebookError, recorded as an event where it is somebody's attempt."""
        configuration = self._configuration_of(ask.stream_key)
        self._entrance.require_book()
        protocol = ParticipantProtocol.RTMPS if ask.is_secure else ParticipantProtocol.RTMP
        participant_id = _participant_of(configuration, ask.stream_key)
        attempt = _attempt(configuration, participant_id or configuration.participant_id, protocol)
        if participant_id is None:
            detail = _wrong_key(configuration, ask.stream_key)
            raise await self._entrance.refused(attempt, detail, code=ErrorCode.INVALID_STREAM_KEY)
        if not ask.is_secure and not configuration.insecure_ingest:
            detail = "this ingest configuration takes RTMPS only (insecureIngest is false)"
            raise await self._entrance.refused(attempt, detail, code=ErrorCode.INVALID_PROTOCOL)
        if self._is_in_use(attempt):
            detail = "another encoder publishes with this stream key"
            raise await self._entrance.refused(attempt, detail, code=ErrorCode.REUSE_OF_STREAM_KEY)
        await self._entrance.require_room(attempt, self._room.to_publish)
        await self._accept(ask, attempt, publisher_id=configuration.participant_id)

    def _configuration_of(self, stream_key: str) -> IngestConfiguration:
        found = self._named_by(stream_key)
        # A stage that is being deleted has been taken from its configurations already.
        if found is None or not found.stage_arn:
            raise StreamKeyUnknownError
        return found

    def _named_by(self, stream_key: str) -> IngestConfiguration | None:
        named = configuration_of_stream_key(stream_key)
        found = None if named is None else self._ledger.shelf.find(str(named))
        return found if isinstance(found, IngestConfiguration) else None

    def _is_in_use(self, attempt: Attempt) -> bool:
        session = self._ledger.live.sessions.get(attempt.claims.stage_arn)
        live = session.participants.get(attempt.claims.participant_id) if session else None
        return live is not None and bool(live.machine.connections)

    async def _accept(self, ask: IngestAsked, attempt: Attempt, *, publisher_id: str) -> None:
        """Record the arrival, then let the engine know. Nothing suspends before the arrival is in the live state."""
        async with self._slots.held(attempt.claims.stage_arn, publisher_id) as slot:
            connection_id = self._entrance.new_connection_id()
            changes, session, live = self._entrance.enter(attempt)
            if attempt.kind is ConnectionKind.REDUNDANT:
                slot.streams.add(connection_id)
                fact = Accepted(connection_id=connection_id, kind="redundant")
            else:
                fact = Accepted(connection_id=connection_id, kind="publish")
            await self._entrance.record(attempt, session, live, fact, changes)
            await self._admit(ask, connection_id, slot, is_redundant=attempt.kind is ConnectionKind.REDUNDANT)

    async def _admit(self, ask: IngestAsked, connection_id: str, slot: SourceLease, *, is_redundant: bool) -> None:
        """Tell the engine of the connection, and again if it was ended meanwhile: the engine did not know it then."""
        if connection_id not in self._ledger.live.routes:
            await self._refuse(ask, _ENDED)
            return
        try:
            await self._media.ingest(
                ask_id=ask.ask_id, connection_id=connection_id, source_id=slot.source_id, is_redundant=is_redundant
            )
        except MediaRefusedError as error:
            await self._not_admitted(ask, connection_id, error)
        else:
            if connection_id not in self._ledger.live.routes:
                await self._media.close(connection_id=connection_id)

    async def _not_admitted(self, ask: IngestAsked, connection_id: str, error: MediaRefusedError) -> None:
        """Record that the engine could not take an encoder that was let in, and say so to the encoder."""
        route = self._ledger.live.routes.get(connection_id)
        if route is None:
            await self._refuse(ask, _ENDED)
            return
        code, detail = ErrorCode.INTERNAL_SERVER_EXCEPTION, error.detail
        if error.reason is RefusalReason.UNKNOWN_CONNECTION:
            changes = self._endings.gone(
                route.session, route.participant_id, [connection_id], cause=Cause.CLIENT, detail=detail
            )
        else:
            cause = Cause.REFUSED if error.reason is RefusalReason.BUSY else Cause.ENGINE_LOST
            changes = self._endings.cut(
                route.session, route.participant_id, connection_id, code, cause=cause, detail=detail
            )
        await self._ledger.commit(route.session, changes)
        await self._refuse(ask, f"{code.value}: {detail}")


_ENDED = "the stream was ended while it began"


def _attempt(configuration: IngestConfiguration, participant_id: str, protocol: ParticipantProtocol) -> Attempt:
    claims = ingest_claims(configuration, participant_id=participant_id, protocol=protocol)
    is_stream = claims.ingest is not None and claims.ingest.feeds is not None
    kind = ConnectionKind.REDUNDANT if is_stream else ConnectionKind.PUBLISH
    return Attempt(claims=claims, client=ClientInfo(), kind=kind, failure="PUBLISH_ERROR")


def _participant_of(configuration: IngestConfiguration, stream_key: str) -> str | None:
    """Return whose key this is; None for a wrong secret, and for the single key while there are redundant ones.

    How long it takes says nothing of the keys: all are compared, each in constant time.
    """
    keys = {credential.participant_id: credential.stream_key for credential in configuration.redundant_credentials}
    if not keys:
        keys = {configuration.participant_id: configuration.stream_key}
    matching = [participant_id for participant_id, key in keys.items() if _is_same(stream_key, key)]
    return matching[0] if matching else None


def _wrong_key(configuration: IngestConfiguration, stream_key: str) -> str:
    if _is_same(stream_key, configuration.stream_key):
        return "redundant ingest is on: use one of its two stream keys in place of this one"
    return "the secret of the stream key is not the ingest configuration's"


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8"), other.encode("utf-8"))


def _code_of(error: StagebookError) -> ErrorCode:
    """Return the code that tells the encoder most, also where there is no event."""
    match error:
        case AttemptRefusedError():
            return error.code
        case StreamKeyUnknownError():
            return ErrorCode.INVALID_STREAM_KEY
        case _:
            return ErrorCode.INTERNAL_SERVER_EXCEPTION
