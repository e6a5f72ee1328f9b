"""The refusal of a handshake over the websocket itself, which a client asks for with `error_over_ws=1`.

    server: {"type": "aws:ivs:JOIN_ERROR", "payload": {"code", "message"}}      to the SDK, and a close frame
            {"type": "JOIN_ERROR", "payload": {"code", "message"}}              in the simple dialect, and a close frame

A browser does not show a page the HTTP response that refuses a handshake, so a page cannot read why. With the
parameter it expects that the handshake is accepted, and then the reason. In the simple dialect the codes are those of
the HTTP error responses. The Web Broadcast SDK has its own, observed on the wire with the versions 1.33.0 and 1.41.0:

    code                        ERROR event of the SDK
    TOKEN_EXPIRED               TOKEN_EXPIRED (2)
    TOKEN_INVALID               TOKEN_MALFORMED (1)
    STAGE_DELETED               9
    PARTICIPANT_DISCONNECTED    10
    BAD_REQUEST                 FAILED (4)
    others                      none, join() is rejected without a reason

Clients do not try again after JOIN_ERROR. They do after a plain refusal, the SDK for a minute. So refusals that a later
attempt may not meet have no JOIN_ERROR: too many requests, a busy server, a failure of the server.
"""

import msgspec

from stagebook.api.participants.problem_responses import Problem

RETRIED = frozenset({"TOO_MANY_REQUESTS", "BUSY", "INTERNAL", "INTERNAL_SERVER_EXCEPTION"})
"""The problems for which the client should try again."""

CODES: dict[str, str] = {
    "TOKEN_EXPIRED": "TOKEN_EXPIRED",
    "TOKEN_MALFORMED": "TOKEN_INVALID",
    "TOKEN_SIGNATURE": "TOKEN_INVALID",
    "TOKEN_STAGE_MISMATCH": "TOKEN_INVALID",
    "TOKEN_JTI_IN_USE": "TOKEN_INVALID",
    "TOKEN_PARTICIPANT_REPLICATED": "TOKEN_INVALID",
    "TOKEN_CONNECTION_TOKEN": "TOKEN_INVALID",
    "NO_TOKEN": "TOKEN_INVALID",
    "TOKEN_STAGE_DELETED": "STAGE_DELETED",
    "TOKEN_PARTICIPANT_DISCONNECTED": "PARTICIPANT_DISCONNECTED",
}
"""The SDK's code of JOIN_ERROR for each problem that has a code of its own. The others have BAD_REQUEST."""

_encode = msgspec.json.Encoder().encode


def join_error(problem: Problem, *, is_sdk: bool) -> str | None:
    """Return the JOIN_ERROR message of a problem as JSON text; None if the client should try again."""
    if problem.code in RETRIED:
        return None
    if is_sdk:
        return sdk_join_error(CODES.get(problem.code, "BAD_REQUEST"), problem.message)
    return _join_error("JOIN_ERROR", problem.code, problem.message)


def sdk_join_error(code: str, message: str) -> str:
    """Return a JOIN_ERROR message to the Web Broadcast SDK as JSON text."""
    return _join_error("aws:ivs:JOIN_ERROR", code, message)


def _join_error(type_: str, code: str, message: str) -> str:
    return _encode({"type": type_, "payload": {"code": code, "message": message}}).decode("utf-8")
