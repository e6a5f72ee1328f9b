"""The filters of a search, translated to the integers that the search index has."""

from typing import Any

import msgspec

from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.sqlite.rows import CAUSE_CODE, ERROR_CODE_CODE, ERROR_CODES, EVENT_NAME_CODE
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.search.search_index import SearchIndex
from stagebook.stage.errors import InvalidInputError

_MAXIMUM_SEQUENCE = (1 << 63) - 1

_ACCOUNT = "SELECT account_key FROM account WHERE account_id = :account"
_STAGE = "SELECT stage_key FROM book.stage WHERE arn = :stage AND account_id = :account"
_PARTICIPANT = "SELECT participant_key FROM participant WHERE participant_id = :participant"
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

    `names` are codes; an empty tuple stands for all. `errors` are codes, with all of them for any error. `first` and
    `last` are the inclusive bounds of the sequence numbers.
    """

    account: int
    first: int
    last: int
    stage: int | None = None
    session: int | None = None
    session_stage: int | None = None
    participant: int | None = None
    user: int | None = None
    names: tuple[int, ...] = ()
    errors: tuple[int, ...] = ()
    cause: int | None = None


def search_keys(index: SearchIndex, query: EventQuery) -> SearchKeys | None:
    """Return the filters of a query and the bounds of its page as keys.

    Returns None if no entry can match: the index does not know a value, or the bounds leave nothing. Raises
    InvalidInputError if the session id is that of several sessions.
    """
    where = query.where
    if where.account_id is None:
        raise ValueError("a search is restricted to an account")
    given = {"account": where.account_id, "stage": where.stage_arn}
    known: dict[str, Any] = {"account": index.rows(_ACCOUNT, account=where.account_id)}
    if where.stage_arn is not None:
        known["stage"] = index.rows(_STAGE, **given)
    if where.participant_id is not None:
        known["participant"] = index.rows(_PARTICIPANT, participant=where.participant_id)
    if where.user_id is not None:
        known["user"] = index.rows(_USER, account=where.account_id, user=where.user_id)
    spans = None if where.session_id is None else index.rows(_SESSIONS, **given, session=where.session_id)
    if spans is not None and len(spans) > 1:
        raise InvalidInputError(member="session", rule="is the id of several sessions: name the stage as well")
    if spans == [] or not all(known.values()):
        return None
    keys = _codes(where) | {name: rows[0][0] for name, rows in known.items()}
    return _within_bounds(keys, query, spans)


def _codes(where: EventFilter) -> dict[str, Any]:
    errors = tuple(range(len(ERROR_CODES))) if where.any_error else ()
    return {
        "names": tuple(sorted(EVENT_NAME_CODE[name] for name in where.names)),
        "errors": errors if where.error_code is None else (ERROR_CODE_CODE[where.error_code],),
        "cause": CAUSE_CODE[where.cause],
    }


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
