"""One offer from a participant, from the request to the answer.

    decide(request)  ->  media engine answers the SDP offer  ->  decide(answered)  ->  commit  ->  answer to the client

The session reserves a place while the engine works, which can take seconds. Each attempt is resolved exactly once:
answered, failed, or cancelled by what removed its participant. An attempt that stayed open would count in the quotas
for good. The answer goes to the client when JOINED is durable.
"""

from collections.abc import Awaitable, Callable

import msgspec

from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.port import Answer, MediaEngine, MediaRefusedError, RefusalReason
from stagebook.stage.errors import OfferMalformedError, ServerBusyError, StagebookError
from stagebook.stage.events import ErrorCode
from stagebook.stage.session.orders import AskEngine
from stagebook.stage.session.session_facts import (
    AttemptAnswered,
    AttemptFailed,
    PublishRequested,
    SubscribeRequested,
)
from stagebook.stage.session.session_state import Session

REFUSAL_CODES = {
    RefusalReason.AUDIO_CODEC: ErrorCode.INVALID_AUDIO_CODEC,
    RefusalReason.VIDEO_CODEC: ErrorCode.INVALID_VIDEO_CODEC,
    RefusalReason.UNKNOWN_SOURCE: ErrorCode.PUBLISHER_NOT_FOUND,
    RefusalReason.ENGINE_LOST: ErrorCode.INTERNAL_SERVER_EXCEPTION,
}
"""The refusals of an engine that are recorded as events. All others mean a malformed request or a busy server."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A new media connection: its id, and the engine's answer for the peer."""

    connection_id: str
    answer: Answer


class OfferNegotiation:
    """Brings offers to the engine and its answers to the session."""

    def __init__(self, *, unit: UnitOfWork, media: MediaEngine) -> None:
        self._unit = unit
        self._media = media

    async def open(
        self,
        session: Session,
        request: PublishRequested | SubscribeRequested,
        ask: Callable[[str], Awaitable[Answer]],
    ) -> Opened:
        """Negotiate one offer; return the connection id and the engine's answer when JOINED is durable.

        `request` is the fact that reserves the place in `session`, the running session of `stage` or a new one. `ask`
        passes the offer to the engine, for the source with the given id. If the task is cancelled, the attempt is
        dropped and the connection closed.

        Raises AttemptRefusedError (recorded as an event), TokenRefusedError, OfferMalformedError and ServerBusyError.
        """
        source_id = await self._request(session, request)
        if isinstance(request, PublishRequested):
            # Only a publisher's offer creates a source in the engine. Its end must not overtake the offer.
            with self._unit.dispatcher.holding(source_id):
                answer = await self._negotiate(session.stage_arn, request, source_id, ask)
        else:
            answer = await self._negotiate(session.stage_arn, request, source_id, ask)
        return Opened(connection_id=request.connection_id, answer=answer)

    async def _negotiate(
        self,
        stage_arn: str,
        request: PublishRequested | SubscribeRequested,
        source_id: str,
        ask: Callable[[str], Awaitable[Answer]],
    ) -> Answer:
        """Let the engine answer, and resolve the attempt in every case, also when this task is cancelled."""
        try:
            answer = await ask(source_id)
        except MediaRefusedError as error:
            await self._fail(stage_arn, request, error)
            raise _client_error(error) from error
        except BaseException:
            # The client has disconnected (CancelledError), or the call of the engine failed. The engine may have opened
            # the connection all the same, so it is closed.
            await self._abandon(stage_arn, request)
            raise
        await self._accept(stage_arn, request)
        return answer

    async def _request(self, session: Session, request: PublishRequested | SubscribeRequested) -> str:
        """Reserve a place; return the source to ask the engine for. Raises the refusal once its event is durable."""
        transaction = self._unit.begin()
        refusal = transaction.apply(session, request)
        durable = transaction.commit()
        if refusal is not None:
            await self._unit.wait(durable)
            raise refusal
        return next(order.source_id for _, order in transaction.orders if isinstance(order, AskEngine))

    async def _accept(self, stage_arn: str, request: PublishRequested | SubscribeRequested) -> None:
        """Turn the attempt into a connection; return when JOINED is durable.

        Raises the error of the cancellation if the attempt was cancelled while the engine worked: it is not in the
        session any longer, but the engine has opened its connection. Raises the refusal if the session refuses the
        answer.
        """
        cancelled = self._unit.registry.cancelled.pop(request.connection_id, None)
        if cancelled is not None:
            await self._media.close(connection_id=request.connection_id)
            await self._unit.settled()
            raise cancelled
        participant_id = request.claims.participant_id
        fact = AttemptAnswered(participant_id=participant_id, connection_id=request.connection_id)
        transaction = self._unit.begin()
        refusal = transaction.apply(self._unit.registry.sessions[stage_arn], fact)
        await self._unit.wait(transaction.commit())
        if refusal is not None:
            raise refusal

    async def _fail(
        self, stage_arn: str, request: PublishRequested | SubscribeRequested, error: MediaRefusedError
    ) -> None:
        """Resolve an attempt that the engine refused; raise the refusal if it is an event."""
        refusal = await self._resolve(stage_arn, request, REFUSAL_CODES.get(error.reason), error.detail)
        if refusal is not None:
            raise refusal from error

    async def _abandon(self, stage_arn: str, request: PublishRequested | SubscribeRequested) -> None:
        """Drop an attempt without an event, and close its connection in the engine."""
        await self._resolve(stage_arn, request, None, "")
        await self._media.close(connection_id=request.connection_id)

    async def _resolve(
        self,
        stage_arn: str,
        request: PublishRequested | SubscribeRequested,
        code: ErrorCode | None,
        detail: str,
    ) -> StagebookError | None:
        """Drop an attempt; return the error for the client, if there is one.

        With an error code the failure is recorded, and this returns when it is durable.
        """
        cancelled = self._unit.registry.cancelled.pop(request.connection_id, None)
        session = self._unit.registry.sessions.get(stage_arn)
        if cancelled is not None or session is None:
            return cancelled
        fact = AttemptFailed(
            participant_id=request.claims.participant_id,
            connection_id=request.connection_id,
            code=code,
            detail=detail,
        )
        transaction = self._unit.begin()
        refusal = transaction.apply(session, fact)
        durable = transaction.commit()
        if refusal is not None:
            await self._unit.wait(durable)
        return refusal


def _client_error(error: MediaRefusedError) -> StagebookError:
    """Return the error for the client of an offer that the engine refused without an event."""
    if error.reason is RefusalReason.BUSY:
        return ServerBusyError(error.detail)
    return OfferMalformedError(error.detail)
