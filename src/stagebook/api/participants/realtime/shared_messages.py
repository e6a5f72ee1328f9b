"""The messages of a websocket that several stages share, as JSON text.

    both:   {"logicalId": ID, "message": {...}}     a message of one stage; ID names it, the client chooses it
    client: in it: {"type": "aws:ivs:JOIN_STAGE", "payload": {"token", "requestId", "traceId"}}
                   {"type": "aws:ivs:LEAVE_STAGE", "payload": {"code", "requestId"}}
                   and the messages of `dialects/sdk_dialect.py`
    server: in it: {"type": "aws:ivs:JOIN_STAGE", "payload": {"requestId", "traceId"}}             the stage is joined
                   the same with "error": {"code", "message", "fatal"} in the payload              it is not
    client: {"type": "PING", "payload": {"requestId", "traceId"}}, not wrapped
    both:   in it: {"type": "aws:ivs:SET_STATE", "payload": {"audioMuted", "videoStopped", "requestId", "traceId"}}
                   the answer has the two ids
    server: {"type": "PONG", "payload": {"requestId", "traceId"}}, and JOIN_ERROR, not wrapped

Observed on the wire with version 1.41.0 of the SDK:

* It closes the websocket and gives up if a message other than PING, PONG and JOIN_ERROR is not wrapped.
* An `error` with `fatal` rejects `Stage.join()` at once; the other stages go on. Without `fatal` it sends the same
  JOIN_STAGE again, seven times in three seconds, and then gives up with TIMEOUT. It reads no `code`. Any other answer
  with both ids is a success, whatever its type.
* JOIN_ERROR ends all stages. With the code TOKEN_REVOKED they are left for the reason
  `real-time-connection-token-revocation`, and it does not connect again.
"""

import re

import msgspec

from stagebook.api.participants.problem_responses import Problem
from stagebook.stage.json_depth import is_too_deep

JOIN_STAGE = "aws:ivs:JOIN_STAGE"
LEAVE_STAGE = "aws:ivs:LEAVE_STAGE"
SET_STATE = "aws:ivs:SET_STATE"
MAXIMUM_ID_LENGTH = 64
"""The characters of a logical id or a request id. The SDK uses UUIDs."""
MAXIMUM_TRACE_ID_LENGTH = 128

TRY_AGAIN_STATUSES = frozenset({429, 500, 503})
"""The statuses of refusals after which the SDK shall ask again."""

_LOGICAL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class AnswerIds(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ids of a request, which its answer repeats."""

    request_id: str = ""
    trace_id: str = ""


class JoinStage(msgspec.Struct, frozen=True, kw_only=True):
    """The request to join a stage."""

    token: str
    ids: AnswerIds


class SharedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the client. `text` is a message of the stage `logical_id`; None stands for the websocket's own."""

    logical_id: str | None
    type: str
    text: str


class _Frame(msgspec.Struct, frozen=True, rename="camel"):
    logical_id: str | None = None
    message: msgspec.Raw = msgspec.Raw()
    type: str | None = None


class _Typed(msgspec.Struct, frozen=True):
    type: str


class _JoinPayload(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    request_id: str = ""
    trace_id: str = ""


class _SetState(msgspec.Struct, frozen=True):
    payload: dict[str, object]


class _Join(msgspec.Struct, frozen=True):
    payload: _JoinPayload


class _Identified(msgspec.Struct, frozen=True):
    payload: AnswerIds = AnswerIds()


_encode = msgspec.json.Encoder().encode
_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_typed = msgspec.json.Decoder(_Typed).decode
_decode_join = msgspec.json.Decoder(_Join).decode
_decode_set_state = msgspec.json.Decoder(_SetState).decode
_decode_identified = msgspec.json.Decoder(_Identified).decode


def is_logical_id(text: str) -> bool:
    """Return whether a text can name a stage on a websocket."""
    return _LOGICAL_ID.fullmatch(text) is not None


def parse_message(text: str) -> SharedMessage | None:
    """Return a message of the client; None if it is not one, or is nested too deeply."""
    if is_too_deep(text):
        return None
    try:
        frame = _decode_frame(text)
        if frame.logical_id is None or not frame.message:
            return None if frame.type is None else SharedMessage(logical_id=None, type=frame.type, text=text)
        if not is_logical_id(frame.logical_id):
            return None
        inner = bytes(frame.message)
        return SharedMessage(logical_id=frame.logical_id, type=_decode_typed(inner).type, text=inner.decode("utf-8"))
    except (msgspec.DecodeError, UnicodeError):
        return None


def parse_join(text: str) -> JoinStage | None:
    """Return a JOIN_STAGE message; None if it cannot be answered: its ids are missing, malformed or too long."""
    try:
        payload = _decode_join(text).payload
    except (msgspec.DecodeError, UnicodeError):
        return None
    ids = AnswerIds(request_id=payload.request_id, trace_id=payload.trace_id)
    return JoinStage(token=payload.token, ids=ids) if payload.request_id and are_short(ids) else None


def pong(ping: str) -> str:
    """Return the answer to a PING message, with the ids of its payload if it has any."""
    try:
        ids = _decode_identified(ping).payload
    except (msgspec.DecodeError, UnicodeError):
        ids = AnswerIds()
    if ids == AnswerIds() or not are_short(ids):
        return '{"type":"PONG"}'
    return done("PONG", ids)


def done(type_: str, ids: AnswerIds) -> str:
    """Return the answer to a request of this type that has succeeded."""
    return _encode({"type": type_, "payload": ids}).decode("utf-8")


def parse_set_state(text: str) -> tuple[str, AnswerIds] | None:
    """Return a SET_STATE message in the form of a websocket with one stage, and its ids; None if it is malformed."""
    try:
        members, ids = _decode_set_state(text).payload, _decode_identified(text).payload
    except (msgspec.DecodeError, UnicodeError):
        return None
    return (_encode(members).decode("utf-8"), ids) if are_short(ids) else None


def not_joined(ids: AnswerIds, problem: Problem) -> str:
    """Return the answer to a JOIN_STAGE that is refused."""
    is_fatal = problem.status not in TRY_AGAIN_STATUSES
    error = {"code": problem.code, "message": problem.message, "fatal": is_fatal}
    payload = {"requestId": ids.request_id, "traceId": ids.trace_id, "error": error}
    return _encode({"type": JOIN_STAGE, "payload": payload}).decode("utf-8")


def prefix_of(logical_id: str) -> str:
    """Return what stands before a message of a stage in its frame. `SUFFIX` stands after it."""
    return f'{{"logicalId":"{logical_id}","message":'


SUFFIX = "}"


def are_short(ids: AnswerIds) -> bool:
    """Return whether ids are short enough to be sent back."""
    return len(ids.request_id) <= MAXIMUM_ID_LENGTH and len(ids.trace_id) <= MAXIMUM_TRACE_ID_LENGTH
