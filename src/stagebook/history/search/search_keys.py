"""The filters of a search, translated to the integers that the search index has."""

from typing import Any

import msgspec

from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.tables.compositions.composition_rows import (
    COMPOSITION_CAUSE_CODE,
    COMPOSITION_ERROR_CODE_CODE,
    COMPOSITION_ERROR_CODES,
    COMPOSITION_EVENT_NAMES,
    COMPOSITION_NAME_CODE,
)
from stagebook.book.tables.rows import CAUSE_CODE, ERROR_CODE_CODE, ERROR_CODES, EVENT_NAME_CODE, EVENT_NAMES
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.search.index_schema import COMPOSITION_CODES
from stagebook.history.search.search_index import SearchIndex
from stagebook.stage.errors import InvalidInputError

_MAXIMUM_SEQUENCE = (1 << 63) - 1

_ACCOUNT = "SELECT account_key FROM account WHERE account_id = :account"
_STAGE = "SELECT stage_key FROM book.stage WHERE arn = :stage AND account_id = :account"
_PARTICIPANT = "SELECT participant_key FROM participant WHERE participant_id = :participant"
_COMPOSITION = "SELECT composition_key FROM book.composition WHERE arn = :composition AND account_id = :account"
_USER = """
SELECT user_key FROM account CROSS JOIN user ON user.account_key = account.account_key AND user.user_id = :user
WHERE account.account_id = :account
"""
_SESSIONS = """
SELECT span.session_key, span.stage_key, span.first_sequence, span.last_sequence
FROM book.session INDEXED BY session_by_id
    CROSS JOIN book.stage ON stage.stage_key = session.stage_key
    CROSS JOIN span ON span.session_key = session.session_key
WHERE session.session_id = :session AND stage.account_id = :account AND (:stage IS NULL OR stage.arn = :stage)
LIMIT 2
"""


class SearchKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of a search as the columns of an entry have them. None stands for a filter that is not given.

    `names`, `errors` and `causes` are codes. `names` has at least the names of the kinds of events that can match, and
    `errors` has all codes for any error. `first` and `last` are the inclusive bounds of the sequence numbers.
    """

    account: int
    first: int
    last: int
    stage: int | None = None
    session: int | None = None
    session_stage: int | None = None
    participant: int | None = None
    user: int | None = None
    composition: int | None = None
    names: tuple[int, ...]
    are_names_given: bool = False
    errors: tuple[int, ...] = ()
    causes: tuple[int, ...] = ()


def search_keys(index: SearchIndex, query: EventQuery) -> SearchKeys | None:
    """Return the filters of a query and the bounds of its page as keys.

    Returns None if no entry can match: the index does not know a value, or the bounds leave nothing. Raises
    InvalidInputError if the session id is that of several sessions.
    """
    where = query.where
    if where.account_id is None:
        raise ValueError("a search is restricted to an account")
    if not (where.can_match_participants or where.can_match_compositions):
        return None
    given = {"account": where.account_id, "stage": where.stage_arn}
    known: dict[str, Any] = {"account": index.rows(_ACCOUNT, account=where.account_id)}
    if where.stage_arn is not None:
        known["stage"] = index.rows(_STAGE, **given)
    if where.participant_id is not None:
        known["participant"] = index.rows(_PARTICIPANT, participant=where.participant_id)
    if where.user_id is not None:
        known["user"] = index.rows(_USER, account=where.account_id, user=where.user_id)
    if where.composition_arn is not None:
        arn = where.composition_arn
        known["composition"] = index.rows(_COMPOSITION, account=where.account_id, composition=arn)
    spans = None if where.session_id is None else index.rows(_SESSIONS, **given, session=where.session_id)
    if spans is not None and len(spans) > 1:
        raise InvalidInputError(member="session", rule="is the id of several sessions: name the stage as well")
    if spans == [] or not all(known.values()):
        return None
    keys = _codes(where) | {name: rows[0][0] for name, rows in known.items()}
    return _within_bounds(keys, query, spans)


def _codes(where: EventFilter) -> dict[str, Any]:
    names: list[int] = []
    errors: list[int | None] = []
    causes: list[int | None] = [CAUSE_CODE[where.cause], _shifted(COMPOSITION_CAUSE_CODE[where.composition_cause])]
    are_names_given = bool(where.names or where.composition_names)
    if where.can_match_participants:
        names += map(EVENT_NAME_CODE.__getitem__, where.names if are_names_given else EVENT_NAMES)
        errors += range(len(ERROR_CODES)) if where.any_error else ()
    if where.can_match_compositions:
        of_compositions = where.composition_names if are_names_given else COMPOSITION_EVENT_NAMES
        names += (COMPOSITION_CODES + COMPOSITION_NAME_CODE[name] for name in of_compositions)
        errors += (COMPOSITION_CODES + code for code in range(len(COMPOSITION_ERROR_CODES))) if where.any_error else ()
    if where.error_code is not None or where.composition_error_code is not None:
        errors = [
            ERROR_CODE_CODE[where.error_code],
            _shifted(COMPOSITION_ERROR_CODE_CODE[where.composition_error_code]),
        ]
    return {
        "names": tuple(sorted(names)),
        "are_names_given": are_names_given,
        "errors": tuple(code for code in errors if code is not None),
        "causes": tuple(code for code in causes if code is not None),
    }


def _shifted(code: int | None) -> int | None:
    return None if code is None else COMPOSITION_CODES + code


def _within_bounds(keys: dict[str, Any], query: EventQuery, spans: list[tuple[Any, ...]] | None) -> SearchKeys | None:
    where = query.where
    first, last = 0, _MAXIMUM_SEQUENCE
    if where.since_ms is not None:
        first = max(first, where.since_ms << SEQUENCE_TIME_SHIFT)
    if where.until_ms is not None:
        last = min(last, (where.until_ms << SEQUENCE_TIME_SHIFT) - 1)
    if query.after is not None and query.oldest_first:
        first = max(first, query.after + 1)
    elif query.after is not None:
        last = min(last, query.after - 1)
    session = session_stage = None
    if spans:
        session, session_stage, first_of_session, last_of_session = spans[0]
        first, last = max(first, first_of_session), min(last, last_of_session)
    if first > last:
        return None
    return SearchKeys(**keys, first=first, last=last, session=session, session_stage=session_stage)
