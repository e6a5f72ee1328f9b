"""What every way onto a stage shares: the checks, the engine's answer, and the record of an arrival or a refusal.

A refusal of an identified participant is durable in the book as its event before it is raised.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from stagebook.book.changes import Change
from stagebook.manager.participants.effective_token import counting_claims
from stagebook.manager.participants.quotas import Quota, Quotas
from stagebook.manager.participants.refusal_rate_limit import RefusalRateLimit
from stagebook.manager.session.running_sessions import LiveParticipant, LiveSession, Route
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.media.port import Answer, MediaEngine, MediaRefusedError, RefusalReason
from stagebook.stage.claims import Claims
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import (
    AttemptRefusedError,
    OfferMalformedError,
    ServerBusyError,
    StagebookError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.facts import Accepted, Refused, Replaced
from stagebook.stage.ids import new_connection_id
from stagebook.stage.participant import NEEDED_CAPABILITIES, ConnectionKind
from stagebook.stage.resources import ClientInfo, Stage

REFUSED_CODES = {
    RefusalReason.AUDIO_CODEC: ErrorCode.INVALID_AUDIO_CODEC,
    RefusalReason.VIDEO_CODEC: ErrorCode.INVALID_VIDEO_CODEC,
    RefusalReason.UNKNOWN_SOURCE: ErrorCode.PUBLISHER_NOT_FOUND,
    RefusalReason.ENGINE_LOST: ErrorCode.INTERNAL_SERVER_EXCEPTION,
}
"""Which refusals of the engine are events. The others are malformed requests or a busy server: no event."""

MAXIMUM_BACKLOG = 100_000
"""Transactions that may wait for the book before newcomers are turned away: some seconds of work."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Somebody tries something: who, with what software, for what, and the event that tells of its failure.

    `publisher_id` is whom a subscriber wants to watch.
    """

    claims: Claims
    client: ClientInfo
    kind: ConnectionKind
    failure: Literal["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR"]
    publisher_id: str | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A new media connection: its id, and the engine's answer for the peer."""

    connection_id: str
    answer: Answer


class JoinPipeline:
    """The one way into the live state."""

    def __init__(
        self,
        *,
        ledger: UnitOfWork,
        media: MediaEngine,
        admission: Authorization,
        room: Quotas,
        randomness: Randomness,
    ) -> None:
        self._ledger = ledger
        self._media = media
        self._admission = admission
        self._room = room
        self._randomness = randomness
        self._refusals = RefusalRateLimit()
        self._opening: dict[str, bool] = {}

    def new_connection_id(self) -> str:
        """Return a fresh id for a connection or a source."""
        return new_connection_id(self._randomness)

    def closed_early(self, connection_id: str) -> None:
        """Hear that a connection ended before it was accepted."""
        if connection_id in self._opening:
            self._opening[connection_id] = False

    def require_book(self) -> None:
        """Raise ServerBusyError when the book cannot keep up."""
        if self._ledger.backlog >= MAXIMUM_BACKLOG:
            raise ServerBusyError("too many events wait to be written; try again")

    async def require_room(self, attempt: Attempt, quota: Quota) -> None:
        """Raise, and record, what a quota or a lost right forbids; ServerBusyError when the book cannot keep up."""
        self.require_book()
        self._require(attempt.claims)
        await self._require_capability(attempt)
        full = self._room.to_join(attempt.claims)
        if full is not None:
            # An encoder does not join first and publish then: to publish is all it tries.
            failure = "JOIN_ERROR" if attempt.claims.ingest is None else attempt.failure
            raise await self.refused(msgspec.structs.replace(attempt, failure=failure), full)
        full = quota(attempt.claims)
        if full is not None:
            raise await self.refused(attempt, full)

    async def _require_capability(self, attempt: Attempt) -> None:
        """Raise, and record, that the token that counts now does not allow the attempt."""
        session = self._ledger.live.sessions.get(attempt.claims.stage_arn)
        live = session.participants.get(attempt.claims.participant_id) if session else None
        claims = counting_claims(live, attempt.claims)
        needed = NEEDED_CAPABILITIES.get(attempt.kind)
        if needed is not None and needed not in claims.capabilities:
            detail = f"the token lacks the capability {needed.value}"
            raise await self.refused(attempt, detail, code=ErrorCode.INSUFFICIENT_CAPABILITIES)

    async def look_again(self, attempt: Attempt, quota: Quota, connection_id: str) -> None:
        """Ask the same after the engine's answer, and give its connection back if the answer is no now.

        Does not suspend unless it refuses, so what it found still holds when it returns.
        """
        try:
            await self.require_room(attempt, quota)
        except StagebookError:
            await self._media.close(connection_id=connection_id)
            raise

    async def ask_engine(self, attempt: Attempt, ask: Callable[[str], Awaitable[Answer]]) -> Opened:
        """Let the engine answer an offer under a new connection id; record and raise its refusal."""
        connection_id = self.new_connection_id()
        self._opening[connection_id] = True
        try:
            answer = await ask(connection_id)
            still_open = self._opening[connection_id]
        except MediaRefusedError as error:
            raise await self._engine_refused(attempt, error) from error
        finally:
            del self._opening[connection_id]
        if not still_open:
            raise ServerBusyError("the connection ended while it was being opened; try again")
        return Opened(connection_id=connection_id, answer=answer)

    async def _engine_refused(self, attempt: Attempt, error: MediaRefusedError) -> StagebookError:
        code = REFUSED_CODES.get(error.reason)
        if code is not None:
            return await self.refused(attempt, error.detail, code=code)
        if error.reason is RefusalReason.BUSY:
            return ServerBusyError(error.detail)
        return OfferMalformedError(error.detail)

    async def refused(
        self, attempt: Attempt, detail: str, *, code: ErrorCode = ErrorCode.QUOTA_EXCEEDED
    ) -> AttemptRefusedError:
        """Record a refusal; return the error to raise once it is durable.

        Encoders try again and again by themselves: of theirs only some a minute are recorded.
        """
        ingest = attempt.claims.ingest
        if ingest is not None and not self._refusals.may_record(
            ingest.configuration_arn, code, now_ms=self._ledger.now_ms()
        ):
            return AttemptRefusedError(code=code, detail=detail)
        changes, session, live = self.enter(attempt)
        fact = Refused(
            attempt=attempt.failure,
            code=code,
            remote_participant_id=attempt.publisher_id,
            remote_is_replica=attempt.publisher_id is not None and session.has_replica(attempt.publisher_id),
            cause=Cause.ENGINE_LOST if code is ErrorCode.INTERNAL_SERVER_EXCEPTION else Cause.REFUSED,
            detail=detail,
        )
        self._ledger.write(session, live, [fact], changes)
        await self._ledger.commit(session, changes)
        return AttemptRefusedError(code=code, detail=detail)

    def enter(self, attempt: Attempt) -> tuple[list[Change], LiveSession, LiveParticipant]:
        """Return the running session (opened if need be) and the participant in it; raise TokenRefusedError."""
        stage = self._require(attempt.claims)
        changes: list[Change] = []
        session = self._ledger.session_of(stage.arn, stage.account_id, changes)
        return changes, session, self._ledger.participant_of(session, attempt.claims, attempt.client)

    def _require(self, claims: Claims) -> Stage:
        """Return the stage of these claims; raise TokenRefusedError, also for one whose replica has its place."""
        stage = self._admission.require(claims)
        session = self._ledger.live.sessions.get(claims.stage_arn)
        if session is not None and session.has_replica(claims.participant_id):
            raise TokenRefusedError(
                refusal=TokenRefusal.PARTICIPANT_REPLICATED,
                detail="a replica of another stage's participant has this token's participant id",
            )
        return stage

    async def record(
        self,
        attempt: Attempt,
        session: LiveSession,
        live: LiveParticipant,
        fact: Accepted | Replaced,
        changes: list[Change],
    ) -> None:
        """Record an arrival and remember its connection; return when it is durable."""
        self._ledger.write(session, live, [fact], changes)
        route = Route(
            session=session,
            participant_id=live.record.participant_id,
            kind=attempt.kind,
            connection_token_id=attempt.claims.connection_token_id,
        )
        self._ledger.live.add_route(fact.connection_id, route, remote_participant_id=attempt.publisher_id)
        await self._ledger.commit(session, changes)
