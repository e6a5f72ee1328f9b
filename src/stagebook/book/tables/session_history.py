"""Reads of sessions over all stages, with all events of their participants.

Table `event` is clustered by participant, so the events of one participant are one range of rows, and those of a
session are read participant by participant. A page of sessions looks at SESSIONS_PER_PAGE sessions at most.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from stagebook.book.book_values import Page, RecordedEvent
from stagebook.book.tables.rows import Row, participant_record, recorded_event
from stagebook.book.tables.table_connection import UNDECODABLE, Cell, TableConnection, position_before
from stagebook.stage.resources import ParticipantRecord

# Sessions of all stages, in the order in which they were opened: keys only grow. `:first` bounds the work of a page.
_HISTORY_BY_SESSION = """
SELECT stage.account_id, stage.arn, stage.name, session.session_id, session.start_ms, session.end_ms,
    coalesce((SELECT max(number) FROM participant WHERE participant.session_key = session.session_key), 0),
    session.session_key
FROM session {index} CROSS JOIN stage ON stage.stage_key = session.stage_key
"""
_HISTORY_FILTER = """
    AND (:account IS NULL OR stage.account_id = :account)
    AND (:user IS NULL OR EXISTS (
        SELECT 1 FROM participant INDEXED BY participant_by_user
        WHERE participant.session_key = session.session_key AND participant.user_id = :user
    ))
"""
_OF_STAGE = "session.stage_key = (SELECT stage_key FROM stage WHERE arn = :arn)"
_HISTORY_RANGE = "session.session_key < :after AND session.session_key >= :first"
HISTORY_OF_ALL_STAGES = (
    _HISTORY_BY_SESSION.format(index="")
    + f"""
WHERE {_HISTORY_RANGE} AND (:ended IS NULL OR session.end_ms IS NOT NULL) {_HISTORY_FILTER}
ORDER BY session.session_key DESC LIMIT :limit
"""
)
HISTORY_OF_STAGE = (
    _HISTORY_BY_SESSION.format(index="INDEXED BY session_of_stage")
    + f"""
WHERE {_OF_STAGE} AND {_HISTORY_RANGE}
    AND (:ended IS NULL OR session.end_ms IS NOT NULL) {_HISTORY_FILTER}
ORDER BY session.session_key DESC LIMIT :limit
"""
)
HISTORY_OPEN = (
    _HISTORY_BY_SESSION.format(index="INDEXED BY session_open")
    + f"WHERE session.end_ms IS NULL AND (:arn IS NULL OR stage.arn = :arn) {_HISTORY_FILTER}"
)
HISTORY_SESSION = (
    _HISTORY_BY_SESSION.format(index="INDEXED BY session_by_id")
    + "WHERE session.session_id = :session AND (:account IS NULL OR stage.account_id = :account)"
)
LAST_SESSION_KEY = "SELECT coalesce(max(session_key), 0) FROM session"
FIRST_SESSION_KEY = "SELECT coalesce(min(session_key), 1) FROM session"
SESSION_KEY_BEHIND = """
SELECT session_key FROM session INDEXED BY session_of_stage
WHERE stage_key = (SELECT stage_key FROM stage WHERE arn = :arn) AND session_key < :after
ORDER BY session_key DESC LIMIT 1 OFFSET :count
"""
SESSION_START_FROM = """
SELECT session_key, start_ms FROM session WHERE session_key >= :first ORDER BY session_key LIMIT 1
"""
_HISTORY_PARTICIPANTS = """
SELECT participant_id, user_id, state, published, first_join_ms, rest, recording_state, recording_bucket,
    recording_prefix, number
FROM participant {index}
WHERE session_key = :key AND number > :after {filter} ORDER BY number LIMIT :limit
"""
HISTORY_PARTICIPANTS = _HISTORY_PARTICIPANTS.format(index="", filter="")
HISTORY_PARTICIPANTS_OF_USER = _HISTORY_PARTICIPANTS.format(
    index="INDEXED BY participant_by_user", filter="AND user_id = :user"
)
HISTORY_PARTICIPANT = _HISTORY_PARTICIPANTS.format(index="", filter="AND participant_id = :participant")
HISTORY_EVENTS = """
SELECT sequence, name, error_code, remote_participant_id, replica, cause, detail, extra
FROM event WHERE session_key = ? AND participant_number = ? ORDER BY sequence
"""

SESSIONS_PER_PAGE = 20_000
"""How many sessions one page looks at: about 20 ms."""

_PARTICIPANTS_PER_READ = 500


class SessionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a stage, also of a deleted one. `participants` counts all that have events, also refused ones.

    `key` is its position: later sessions have larger ones.
    """

    account_id: str
    stage_arn: str
    stage_name: str
    session_id: str
    start_ms: int
    end_ms: int | None
    participants: int
    key: int


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions match: those that match every member that is given.

    `is_open` false matches ended sessions. `since_ms` (inclusive) and `until_ms` (exclusive) bound the start. `user_id`
    is that of a participant.
    """

    account_id: str | None = None
    stage_arn: str | None = None
    is_open: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    user_id: str | None = None


class ParticipantChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which participants of a session match: the one with this id, or those of this user; all without either."""

    participant_id: str | None = None
    user_id: str | None = None


class ParticipantHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A participant of a session and all its events, oldest first. `number` is its position in the session."""

    record: ParticipantRecord
    number: int
    events: list[RecordedEvent]


class SessionHistory:
    """Sessions of all accounts. Only one thread may use it. Its iterators read a participant at a time, when asked.

    The order is that of the keys: of one account, later sessions have larger ones. With `keys_follow_time`, that holds
    for the sessions of all accounts.

    Reads raise BookDamagedError if they meet a damaged part of the book, and BookFailedError if it cannot be read.
    """

    def __init__(self, connection: TableConnection, *, keys_follow_time: bool = True) -> None:
        self._connection = connection
        self._keys_follow_time = keys_follow_time

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    def list_sessions(self, where: SessionFilter, *, after: int | None, limit: int) -> Page[SessionEntry]:
        """Return a page of the sessions that match, newest first.

        `after` is the `next_position` of the page before. A page may have fewer items than `limit`, or none, and still
        a next position.
        """
        if where.is_open:
            return self._page_of_open(where, after=after, limit=limit)
        start = position_before(after)
        if where.until_ms is not None and self._keys_follow_time:
            start = min(start, self._first_key(where.until_ms))
        since: int = self._rows(FIRST_SESSION_KEY)[0][0]
        if where.since_ms is not None and self._keys_follow_time:
            since = self._first_key(where.since_ms)
        first = max(since, self._key_behind(where, start))
        rows = self._rows(
            HISTORY_OF_ALL_STAGES if where.stage_arn is None else HISTORY_OF_STAGE,
            **_parameters(where),
            ended=None if where.is_open is None else 1,
            after=start,
            first=first,
            limit=limit + 1,
        )
        entries = [_entry(row) for row in rows[:limit]]
        items = [entry for entry in entries if _starts_within(entry, where)]
        if len(rows) > limit:
            return Page(items=items, next_position=entries[-1].key)
        return Page(items=items, next_position=first if first > since else None)

    def find_session(self, session_id: str, *, account_id: str | None = None) -> SessionEntry | None:
        """Return the session with this id, the newest if several stages have it; None if there is none."""
        entries = [_entry(row) for row in self._rows(HISTORY_SESSION, session=session_id, account=account_id)]
        return max(entries, key=lambda entry: entry.key, default=None)

    def participants(
        self, session_key: int, *, choice: ParticipantChoice | None = None, after: int = 0
    ) -> Iterator[ParticipantHistory]:
        """Yield the participants of a session with a number above `after`, in the order of their arrival."""
        statement, extra = HISTORY_PARTICIPANTS, {}
        if choice is not None and choice.participant_id is not None:
            statement, extra = HISTORY_PARTICIPANT, {"participant": choice.participant_id}
        elif choice is not None and choice.user_id is not None:
            statement, extra = HISTORY_PARTICIPANTS_OF_USER, {"user": choice.user_id}
        while rows := self._rows(statement, key=session_key, after=after, limit=_PARTICIPANTS_PER_READ, **extra):
            for row in rows:
                history = self._participant(session_key, row)
                if choice is None or choice.user_id in {None, history.record.user_id}:
                    yield history
            after = rows[-1][-1]

    def _participant(self, session_key: int, row: Row) -> ParticipantHistory:
        try:
            record, number = participant_record(row[:-1]), row[-1]
            rows = self._connection.rows(HISTORY_EVENTS, (session_key, number))
            events = [recorded_event(record.participant_id, each) for each in rows]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error
        return ParticipantHistory(record=record, number=number, events=events)

    def _page_of_open(self, where: SessionFilter, *, after: int | None, limit: int) -> Page[SessionEntry]:
        """Return a page of open sessions. A stage has at most one, so all of them are read and sorted."""
        entries = (_entry(row) for row in self._rows(HISTORY_OPEN, **_parameters(where)))
        found = sorted(
            (entry for entry in entries if (after is None or entry.key < after) and _starts_within(entry, where)),
            key=lambda entry: -entry.key,
        )
        return Page(items=found[:limit], next_position=found[limit - 1].key if len(found) > limit else None)

    def _key_behind(self, where: SessionFilter, start: int) -> int:
        """Return the smallest key that a page may look at which starts below `start`."""
        if where.stage_arn is None:
            last: int = self._rows(LAST_SESSION_KEY)[0][0]
            return max(1, min(start, last + 1) - SESSIONS_PER_PAGE)
        rows = self._rows(SESSION_KEY_BEHIND, arn=where.stage_arn, after=start, count=SESSIONS_PER_PAGE - 1)
        return rows[0][0] if rows else 1

    def _first_key(self, start_ms: int) -> int:
        """Return the key of the first session that began at `start_ms` or later; one above all keys if none did.

        The clock of events never goes back, so starts grow with the keys and the key is found by bisection.
        """
        low, high = 1, int(self._rows(LAST_SESSION_KEY)[0][0]) + 1
        while low < high:
            middle = (low + high) // 2
            rows = self._rows(SESSION_START_FROM, first=middle)
            if not rows or rows[0][1] >= start_ms:
                high = middle
            else:
                low = rows[0][0] + 1
        return low

    def _rows(self, statement: str, **parameters: Cell) -> list[Row]:
        return self._connection.rows(statement, parameters)


def _parameters(where: SessionFilter) -> dict[str, Any]:
    return {"account": where.account_id, "arn": where.stage_arn, "user": where.user_id}


def _starts_within(entry: SessionEntry, where: SessionFilter) -> bool:
    return (where.since_ms is None or entry.start_ms >= where.since_ms) and (
        where.until_ms is None or entry.start_ms < where.until_ms
    )


def _entry(row: Row) -> SessionEntry:
    account_id, stage_arn, stage_name, session_id, start_ms, end_ms, participants, key = row
    return SessionEntry(
        account_id=account_id,
        stage_arn=stage_arn,
        stage_name=stage_name,
        session_id=session_id,
        start_ms=start_ms,
        end_ms=end_ms,
        participants=participants,
        key=key,
    )
