"""The token exchange messages of the events websocket, as JSON text.

    client: {"type": "EXCHANGE_TOKEN", "token": "<the new participant token>"}
    server: {"type": "TOKEN_EXCHANGED", "payload": {...}}          the new token is in force and the event is durable
            {"type": "EXCHANGE_TOKEN_ERROR", "payload": {...}}     the old token stays in force

Answers come in the order of the requests. The error codes are those of the HTTP error responses.
"""

import msgspec

from stagebook.api.participants.dialects.events_dialect import ExchangeCall
from stagebook.api.participants.problem_responses import Problem, RequestRefusalCode, RequestRefusedError, problem_of
from stagebook.error_traceback import drop_traceback
from stagebook.stage.claims import Claims
from stagebook.stage.errors import StagebookError
from stagebook.stage.json_depth import is_too_deep
from stagebook.stage.resources import Capability

EXCHANGE_TOKEN = "EXCHANGE_TOKEN"  # noqa: S105 - the type of a message, not a secret


class _ExchangeRequest(msgspec.Struct, frozen=True):
    token: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_ExchangeRequest).decode


def parse_exchange_request(message: str) -> str:
    """Return the token of an EXCHANGE_TOKEN message; raise RequestRefusedError when it has none."""
    try:
        if not is_too_deep(message):
            return _decode(message).token
    except (msgspec.DecodeError, UnicodeError):
        pass
    raise RequestRefusedError(
        status=400, code=RequestRefusalCode.MALFORMED_MESSAGE, message="EXCHANGE_TOKEN needs the new token as `token`"
    )


async def exchange_answer(message: str, exchange: ExchangeCall) -> str:
    """Exchange the token of a message; return the answer. Errors that the client did not cause are raised."""
    try:
        return _exchanged(await exchange(parse_exchange_request(message)))
    except (StagebookError, RequestRefusedError) as error:
        drop_traceback(error)
        return _refused(problem_of(error))


def _exchanged(claims: Claims) -> str:
    payload = {
        "participantId": claims.participant_id,
        "userId": claims.user_id,
        "attributes": claims.attributes,
        "capabilities": [capability for capability in Capability if capability in claims.capabilities],
        "expirationTime": claims.expires_at_seconds,
    }
    return _encode({"type": "TOKEN_EXCHANGED", "payload": payload}).decode("utf-8")


def _refused(problem: Problem) -> str:
    payload = {"code": problem.code, "message": problem.message}
    return _encode({"type": "EXCHANGE_TOKEN_ERROR", "payload": payload}).decode("utf-8")
