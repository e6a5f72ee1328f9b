"""Encoding the body of ListParticipantEvents from rows of the book.

The body is assembled from strings, most of which are made once: the prefix with an event's name, the part of a time
within its minute (one string for each of the 60,000 milliseconds), and the suffix with the participant's id. Only an
event with a rare member (error code, replica, replication, token exchange) is encoded by msgspec.
Shapes: Event and ExchangedParticipantToken of the service model. Members that do not apply are left out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from stagebook.book.book_values import EventExtra, EventRow
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.stage.events import AWS_EVENT_NAMES, ErrorCode, ExchangedToken, TokenExchange
from stagebook.stage.timestamps import iso8601

_MINUTE_MS = 60_000
_NAME_PREFIXES = tuple(f'{{"name":"{name}","eventTime":"' for name in AWS_EVENT_NAMES)
_ERROR_CODES = tuple(ErrorCode)
_MILLISECONDS = tuple(f".{ms:03d}Z" for ms in range(1_000))
# Made of two strings each, because the start of every server waits for it.
_TIME_IN_MINUTE = tuple([f"{second:02d}" + ms for second in range(60) for ms in _MILLISECONDS])
_encode = msgspec.json.Encoder().encode
_decode_extra = msgspec.json.Decoder(EventExtra).decode
_decode_exchange = msgspec.json.Decoder(TokenExchange).decode


def encode_event_page(participant_id: str, rows: Sequence[EventRow], next_token: str | None) -> bytes:
    """Return the JSON body with these events of one participant, in the order of `rows`."""
    suffix = f'","participantId":{_json(participant_id)}}},'
    remote_suffix = f'{suffix[:-2]},"remoteParticipantId":"'
    minute_ms, minute = 0, _minute_text(0)
    events: list[str] = []
    for sequence, name, error_code, remote, replica, extra in rows:
        in_minute_ms = (sequence >> SEQUENCE_TIME_SHIFT) - minute_ms
        # Neighbouring events are mostly of the same minute, whose string is then reused.
        if not 0 <= in_minute_ms < _MINUTE_MS:
            minute_ms += in_minute_ms // _MINUTE_MS * _MINUTE_MS
            in_minute_ms %= _MINUTE_MS
            minute = _minute_text(minute_ms)
        if remote is None:
            event = f"{_NAME_PREFIXES[name]}{minute}{_TIME_IN_MINUTE[in_minute_ms]}{suffix}"
        else:
            # Nearly every id consists of letters and digits, which need no escaping in JSON.
            if not remote.isalnum():
                remote = _json(remote)[1:-1]
            event = f'{_NAME_PREFIXES[name]}{minute}{_TIME_IN_MINUTE[in_minute_ms]}{remote_suffix}{remote}"}},'
        # Rare members are inserted before the closing brace and comma of the event.
        if error_code is not None or replica or extra is not None:
            event = f"{event[:-2]}{_rare_members(error_code, replica, extra)}}},"
        events.append(event)
    ending = "]}" if next_token is None else f'],"nextToken":{_json(next_token)}}}'
    # Each event was written with a comma after it; the last one has none.
    return f'{{"events":[{"".join(events)[:-1]}{ending}'.encode()


@lru_cache(maxsize=4_096)
def _minute_text(minute_ms: int) -> str:
    """Return the ISO 8601 prefix of all times in a minute: `2023-04-26T20:36:`."""
    return datetime.fromtimestamp(minute_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:")


def _json(value: object) -> str:
    return _encode(value).decode()


def _member(name: str, value: object) -> str:
    return f',"{name}":{_json(value)}'


def _rare_members(error_code: int | None, replica: int, extra: bytes | str | None) -> str:
    """Return the rare members of an event as JSON, each after a comma. `replica` is sent only when it is true."""
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
