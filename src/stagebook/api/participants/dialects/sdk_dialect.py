"""The dialect of Amazon's Web Broadcast SDK: `{events}?topic={topic}/publishers`.

    client: {"type": "aws:ivs:EXCHANGE_TOKEN", "payload": {"oldToken", "newToken", "requestId", "traceId"}}
    server: {"type": "aws:ivs:EXCHANGE_TOKEN", "payload": {"requestId", "traceId"}}      the new token is in force
            {"type": "aws:ivs:EXCHANGE_TOKEN", "payload": {"requestId", "error": {"code", "message"}}}      refused
            {"type": "aws:ivs:DISCONNECT", "payload": {"code", "reason"}}                before the close frame

Observed on the wire with the versions 1.10.0, 1.24.0, 1.33.0 and 1.41.0 of the SDK.

**Token exchange.** The SDK waits 5 s for the answer. Versions before 1.41 take an answer with `traceId` for a success,
whatever else it has; each version takes one without it for a refusal. `oldToken` is not read: the connection says who
the participant is.

**Disconnection.** The SDK connects again after any close code, and stays away after DISCONNECT alone. It knows the
codes PARTICIPANT_DISCONNECTED, STAGE_DELETED and TOKEN_REUSED; with another one it reports the reason "unknown". A
shutdown has no DISCONNECT, so that the participants come back to the next server by themselves.
"""

from typing import Annotated

import msgspec

from stagebook.api.participants.dialects.events_dialect import ExchangeCall
from stagebook.api.participants.problem_responses import Problem, RequestRefusalCode, RequestRefusedError, problem_of
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.errors import StagebookError
from stagebook.stage.json_depth import is_too_deep

EXCHANGE_TYPE = "aws:ivs:EXCHANGE_TOKEN"
MAXIMUM_ID_LENGTH = 128
"""Characters of an id that is sent back. The SDK's have 36 and 35."""

DISCONNECT_REASONS: dict[FarewellReason, str] = {
    FarewellReason.DISCONNECTED: "the participant was disconnected",
    FarewellReason.STAGE_DELETED: "the stage was deleted",
    FarewellReason.CONNECTION_TOKEN_REVOKED: "the connection token was revoked",
    FarewellReason.TOKEN_REUSED: "the token was used for another connection",
}
"""The texts for the reasons that have a DISCONNECT message, where the caller of the API gave none."""

_Id = Annotated[str, msgspec.Meta(max_length=MAXIMUM_ID_LENGTH)]


class ExchangePayload(msgspec.Struct, frozen=True, rename="camel"):
    """What a client's EXCHANGE_TOKEN message asks for."""

    request_id: _Id
    trace_id: _Id
    new_token: str


class _ExchangeMessage(msgspec.Struct, frozen=True):
    payload: ExchangePayload


_encode = msgspec.json.Encoder().encode
_decode_exchange = msgspec.json.Decoder(_ExchangeMessage).decode
_MALFORMED = RequestRefusedError(
    status=400,
    code=RequestRefusalCode.MALFORMED_MESSAGE,
    message=f"EXCHANGE_TOKEN needs `newToken`, and `requestId` and `traceId` of at most {MAXIMUM_ID_LENGTH} characters",
).problem


class SdkDialect:
    """Implements EventsDialect."""

    exchange_type = EXCHANGE_TYPE

    async def answer_exchange(self, message: str, exchange: ExchangeCall) -> str:
        """Return an EXCHANGE_TOKEN message. One that answers a malformed message has no ids."""
        asked = parse_exchange(message)
        if asked is None:
            return _refusal(_MALFORMED, {})
        ids = {"requestId": asked.request_id}
        try:
            await exchange(asked.new_token)
        except (StagebookError, RequestRefusedError) as error:
            return _refusal(problem_of(error), ids)
        return _message(EXCHANGE_TYPE, {**ids, "traceId": asked.trace_id})

    def farewell(self, reason: FarewellReason, detail: str) -> str | None:
        """Return a DISCONNECT message; None if the client shall connect again."""
        text = DISCONNECT_REASONS.get(reason)
        if text is None:
            return None
        return _message("aws:ivs:DISCONNECT", {"code": reason.value, "reason": detail or text})


def parse_exchange(message: str) -> ExchangePayload | None:
    """Return the payload of an EXCHANGE_TOKEN message; None if it is malformed."""
    if is_too_deep(message):
        return None
    try:
        return _decode_exchange(message).payload
    except (msgspec.DecodeError, UnicodeError):
        return None


def _refusal(problem: Problem, ids: dict[str, str]) -> str:
    return _message(EXCHANGE_TYPE, {**ids, "error": {"code": problem.code, "message": problem.message}})


def _message(type_: str, payload: dict[str, object]) -> str:
    return _encode({"type": type_, "payload": payload}).decode("utf-8")
