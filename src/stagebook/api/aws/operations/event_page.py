"""The body of ListParticipantEvents, built from rows as the book keeps them: a list of texts made before, and one join.

No value is built for an event, and its time is put together from the text of its minute and that of its milliseconds.
Only what is rare (an error, a replica, a replication, a token exchange) leaves that path. Shapes: Event and
ExchangedParticipantToken of the service model; members that do not apply are left out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from stagebook.api.aws.rest_json.timestamps import iso8601
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.store import EventExtra, EventRow
from stagebook.stage.events import ErrorCode, EventName, ExchangedToken, TokenExchange

_MINUTE_MS = 60_000
_NAMED = tuple(f'{{"name":"{name}","eventTime":"' for name in EventName)
_ERROR_CODES = tuple(ErrorCode)
_IN_MINUTE = tuple(f"{ms // 1000:02d}.{ms % 1000:03d}Z" for ms in range(_MINUTE_MS))
_encode = msgspec.json.Encoder().encode
_decode_extra = msgspec.json.Decoder(EventExtra).decode
_decode_exchange = msgspec.json.Decoder(TokenExchange).decode


def encode_event_page(participant_id: str, rows: Sequence[EventRow], next_token: str | None) -> bytes:
    """Return the JSON body that lists these events of one participant, in the order of `rows`."""
    plain = f'","participantId":{_json(participant_id)}}},'
    watching = f'{plain[:-2]},"remoteParticipantId":"'
    minute_ms, minute = 0, _minute_text(0)
    parts: list[str] = []
    for sequence, name, error_code, remote, replica, extra in rows:
        rest_ms = (sequence >> SEQUENCE_TIME_SHIFT) - minute_ms
        if not 0 <= rest_ms < _MINUTE_MS:
            minute_ms += rest_ms // _MINUTE_MS * _MINUTE_MS
            rest_ms %= _MINUTE_MS
            minute = _minute_text(minute_ms)
        if remote is None:
            parts += _NAMED[name], minute, _IN_MINUTE[rest_ms], plain
        else:
            if not remote.isalnum():  # letters and digits, so nearly every id, need no escape
                remote = _json(remote)[1:-1]
            parts += _NAMED[name], minute, _IN_MINUTE[rest_ms], watching, remote, '"},'
        if error_code is not None or replica or extra is not None:
            parts[-1] = f"{parts[-1][:-2]}{_rare_members(error_code, replica, extra)}}},"
    if parts:
        # Every event ends with a comma but the last.
        parts[-1] = parts[-1][:-1]
    ending = "]}" if next_token is None else f'],"nextToken":{_json(next_token)}}}'
    return f'{{"events":[{"".join(parts)}{ending}'.encode()


@lru_cache(maxsize=4_096)
def _minute_text(minute_ms: int) -> str:
    """Return the ISO 8601 text of a minute, up to its second: `2023-04-26T20:36:`."""
    return datetime.fromtimestamp(minute_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:")


def _json(value: object) -> str:
    return _encode(value).decode()


def _member(name: str, value: object) -> str:
    return f',"{name}":{_json(value)}'


def _rare_members(error_code: int | None, replica: int, extra: bytes | None) -> str:
    """Return the members that few events have, each with its leading comma; `replica` only when true."""
    members = "" if error_code is None else _member("errorCode", _ERROR_CODES[error_code])
    if replica:
        members += ',"replica":true'
    return members if extra is None else members + _extra_members(_decode_extra(extra))


def _extra_members(extra: EventExtra) -> str:
    members = ""
    if extra.destination_stage_arn is not None:
        members += _member("destinationStageArn", extra.destination_stage_arn)
    if extra.destination_session_id is not None:
        members += _member("destinationSessionId", extra.destination_session_id)
    if extra.exchange:
        exchange = _decode_exchange(extra.exchange)
        members += _member("previousToken", _show_exchanged(exchange.previous))
        members += _member("newToken", _show_exchanged(exchange.new))
    return members


def _show_exchanged(token: ExchangedToken) -> dict[str, Any]:
    """Return shape ExchangedParticipantToken."""
    return {
        "capabilities": token.capabilities,
        "attributes": token.attributes,
        "userId": token.user_id,
        "expirationTime": iso8601(token.expiration_ms),
    }
