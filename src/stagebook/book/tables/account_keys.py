"""The keys that the changes of one account refer to: of its stages, of what is open, and of compositions shown.

They are read before the account is served (`LoadedRowKeys.add_account`). Lists of any length are read in pages.
"""

from collections.abc import Iterator

import msgspec

from stagebook.book.tables.rows import STATE_CODE, Row
from stagebook.book.tables.table_connection import Cell, TableConnection
from stagebook.stage.composition.composition import KEPT_MS
from stagebook.stage.resources import ParticipantState

ROWS_PER_PAGE = 1_000

STAGE_KEYS = """
SELECT arn, stage_key FROM stage INDEXED BY stage_of_account
WHERE account_id = :account AND deleted_ms IS NULL AND stage_key > :after ORDER BY stage_key LIMIT :limit
"""
OPEN_SESSION_KEYS = """
SELECT stage.arn, stage.stage_key, stage.deleted_ms IS NOT NULL, session.session_id, session.session_key,
    session.start_ms,
    coalesce((SELECT max(number) FROM participant WHERE participant.session_key = session.session_key), 0)
FROM session INDEXED BY session_open CROSS JOIN stage ON stage.stage_key = session.stage_key
WHERE session.end_ms IS NULL AND stage.account_id = :account
"""
CONNECTED_NUMBERS = """
SELECT participant_id, number FROM participant INDEXED BY participant_by_state
WHERE session_key = :session AND state = :state AND number > :after ORDER BY number LIMIT :limit
"""
# A publisher that has left can have a replication that waits for its return. A group has the rows of one participant.
NUMBERS_WITH_OPEN_EVENTS = """
SELECT min(participant.participant_id), open_event.participant_number
FROM open_event CROSS JOIN participant ON participant.session_key = open_event.session_key
    AND participant.number = open_event.participant_number
WHERE open_event.session_key = :session AND open_event.participant_number > :after
GROUP BY open_event.participant_number ORDER BY open_event.participant_number LIMIT :limit
"""
OPEN_RECORDING_KEYS = """
SELECT stage.arn, stage.stage_key, stage.deleted_ms IS NOT NULL, session.session_id, session.session_key,
    session.start_ms, participant.participant_id, participant.number, open_recording.recording_id
FROM open_recording CROSS JOIN session ON session.session_key = open_recording.session_key
    CROSS JOIN stage ON stage.stage_key = session.stage_key
    CROSS JOIN participant ON participant.session_key = open_recording.session_key
        AND participant.number = open_recording.participant_number
WHERE stage.account_id = :account
"""
COMPOSITION_KEYS = """
SELECT arn, composition_key FROM composition INDEXED BY composition_of_account_by_end
WHERE account_id = :account AND end_ms > :ended_after
"""


class SessionPlace(msgspec.Struct, frozen=True):
    """A session and its stage, with their keys. In the order of the columns."""

    stage_arn: str
    stage_key: int
    is_deleted: bool
    session_id: str
    session_key: int
    start_ms: int


class OpenSessionKeys(msgspec.Struct, frozen=True, kw_only=True):
    """An open session: its number of participants, and the numbers of those that are connected or awaited, by id."""

    place: SessionPlace
    last_number: int
    numbers: dict[str, int]


class RecordingKeys(msgspec.Struct, frozen=True, kw_only=True):
    """An open recording, and the participant that it is of. The session may have ended."""

    recording_id: str
    place: SessionPlace
    participant_id: str
    number: int


class AccountKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one account. `stages` and `compositions` are by ARN."""

    account_id: str
    stages: dict[str, int] = {}
    sessions: tuple[OpenSessionKeys, ...] = ()
    recordings: tuple[RecordingKeys, ...] = ()
    compositions: dict[str, int] = {}


def read_account_keys(connection: TableConnection, account_id: str, *, now_ms: int) -> AccountKeys:
    """Return the keys of an account that no writer changes meanwhile. `now_ms` is in ms since the epoch.

    Raises BookFailedError and BookDamagedError.
    """
    late: dict[str, Cell] = {"account": account_id, "ended_after": now_ms - KEPT_MS}
    return AccountKeys(
        account_id=account_id,
        stages=dict(_pages(connection, STAGE_KEYS, account=account_id)),
        sessions=tuple(_open_sessions(connection, account_id)),
        recordings=tuple(
            RecordingKeys(recording_id=row[8], place=_place(row), participant_id=row[6], number=row[7])
            for row in connection.rows(OPEN_RECORDING_KEYS, {"account": account_id})
        ),
        compositions=dict(connection.rows(COMPOSITION_KEYS, late)),
    )


def _open_sessions(connection: TableConnection, account_id: str) -> Iterator[OpenSessionKeys]:
    for row in connection.rows(OPEN_SESSION_KEYS, {"account": account_id}):
        place = _place(row)
        state = STATE_CODE[ParticipantState.CONNECTED]
        numbers: dict[str, int] = dict(_pages(connection, CONNECTED_NUMBERS, session=place.session_key, state=state))
        numbers.update(_pages(connection, NUMBERS_WITH_OPEN_EVENTS, session=place.session_key))
        yield OpenSessionKeys(place=place, last_number=row[6], numbers=numbers)


def _place(row: Row) -> SessionPlace:
    stage_arn, stage_key, is_deleted, session_id, session_key, start_ms = row[:6]
    return SessionPlace(stage_arn, stage_key, bool(is_deleted), session_id, session_key, start_ms)


def _pages(connection: TableConnection, statement: str, **parameters: Cell) -> Iterator[Row]:
    """Yield the rows of all pages. The last column is the position."""
    after: Cell = 0
    while True:
        rows = connection.rows(statement, {**parameters, "after": after, "limit": ROWS_PER_PAGE})
        yield from rows
        if len(rows) < ROWS_PER_PAGE:
            return
        after = rows[-1][-1]
