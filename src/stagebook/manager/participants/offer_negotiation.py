"""One offer from a participant, from the request to the answer.

    decide(request)  ->  media engine answers the SDP offer  ->  decide(answered)  ->  commit  ->  answer to the client

The session reserves a place while the engine works, which can take seconds. Each attempt is resolved exactly once:
answered, failed, or cancelled by what removed its participant. An attempt that stayed open would count in the quotas
permanently. The answer goes to the client when JOINED is durable.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

import msgspec

from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.port import Answer, MediaEngine, MediaRefusedError, RefusalReason
from stagebook.stage.errors import OfferMalformedError, ServerBusyError, StagebookError
from stagebook.stage.events import ErrorCode
from stagebook.stage.resources import Stage
from stagebook.stage.session.session_facts import (
    AttemptAnswered,
    AttemptFailed,
    PublishRequested,
    SubscribeRequested,
)

REFUSAL_CODES = {
    RefusalReason.AUDIO_CODEC: ErrorCode.INVALID_AUDIO_CODEC,
    RefusalReason.VIDEO_CODEC: ErrorCode.INVALID_VIDEO_CODEC,
    RefusalReason.UNKNOWN_SOURCE: ErrorCode.PUBLISHER_NOT_FOUND,
    RefusalReason.ENGINE_LOST: ErrorCode.INTERNAL_SERVER_EXCEPTION,
}
"""The refusals of an engine that are recorded as events. All others mean a malformed request or a busy server."""

_NOTHING_HELD = contextlib.nullcontext()


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
        stage: Stage,
        request: PublishRequested | SubscribeRequested,
        ask: Callable[[str], Awaitable[Answer]],
    ) -> Opened:
        """Negotiate one offer; return the connection id and the engine's answer when JOINED is durable.

        `request` is the fact that reserves the place in the session of `stage`. `ask` passes the offer to the engine,
        for the source with the given id. If the task is cancelled, the attempt is dropped and the connection closed.

        Raises AttemptRefusedError (recorded as an event), TokenRefusedError, OfferMalformedError and ServerBusyError.
        """
        refusal, durable = self._unit.apply(self._unit.session_of(stage), request)
        if refusal is not None:
            await self._unit.wait(durable)
            raise refusal
        source_id = self._source_of(stage.arn, request)
        with self._holding(source_id, request):
            answer = await self._ask(stage.arn, request, ask(source_id))
            if request.connection_id in self._unit.registry.cancelled:
                await self._withdraw(request.connection_id)
            refusal, durable = self._unit.apply(
                self._unit.registry.sessions[stage.arn],
                AttemptAnswered(
                    participant_id=request.claims.participant_id,
                    connection_id=request.connection_id,
                    sends_audio=answer.sends_audio,
                    sends_video=answer.sends_video,
                ),
            )
            if durable is not None:
                await durable
            if refusal is not None:
                raise refusal
        return Opened(connection_id=request.connection_id, answer=answer)

    def _source_of(self, stage_arn: str, request: PublishRequested | SubscribeRequested) -> str:
        """Return the id of the source that an accepted request has reserved."""
        participant = self._unit.registry.sessions[stage_arn].participants[request.claims.participant_id]
        return participant.attempts[request.connection_id].source_id

    def _holding(
        self, source_id: str, request: PublishRequested | SubscribeRequested
    ) -> contextlib.AbstractContextManager[None]:
        # Only a publisher's offer creates a source in the engine. Its end must not overtake the offer.
        if isinstance(request, PublishRequested):
            return self._unit.dispatcher.holding(source_id)
        return _NOTHING_HELD

    async def _ask(
        self, stage_arn: str, request: PublishRequested | SubscribeRequested, answer: Awaitable[Answer]
    ) -> Answer:
        """Await the engine's answer. If there is none, resolve the attempt, also when this task is cancelled."""
        try:
            return await answer
        except MediaRefusedError as error:
            await self._fail(stage_arn, request, error)
            raise _client_error(error) from error
        except BaseException:
            # The client has disconnected (CancelledError), or the call of the engine failed. The engine may have opened
            # the connection all the same, so it is closed.
            await self._abandon(stage_arn, request)
            raise

    async def _withdraw(self, connection_id: str) -> NoReturn:
        """Close the connection of an attempt that was cancelled while the engine worked, and raise the error of it.

        The attempt is not in the session any longer, but the engine has opened its connection.
        """
        cancelled = self._unit.registry.cancelled.pop(connection_id)
        await self._media.close(connection_id=connection_id)
        await self._unit.settled()
        raise cancelled

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
        refusal, durable = self._unit.apply(session, fact)
        if refusal is not None:
            await self._unit.wait(durable)
        return refusal


def _client_error(error: MediaRefusedError) -> StagebookError:
    """Return the error for the client of an offer that the engine refused without an event."""
    if error.reason is RefusalReason.BUSY:
        return ServerBusyError(error.detail)
    return OfferMalformedError(error.detail)
