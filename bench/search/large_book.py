"""A book of millions of events, written directly with SQL in about a minute.

The events of 1,000 stages are interleaved, as in a book of many rooms that are in use at the same time: neighbours in
the order of the book belong to different sessions. Three accounts have 70, 20 and 10 percent of the stages.
"""

import asyncio
from pathlib import Path

import apsw

from bench.page.books import no_secret
from stagebook.book.sqlite.sqlite_book import SqliteBook

STAGES = 1_000
PARTICIPANTS_PER_SESSION = 50
EVENTS_PER_PARTICIPANT = 10
USERS = 50_000
ERROR_INTERVAL = 5_000
"""One event of so many is an error."""

ACCOUNTS = ("111111111111", "222222222222", "333333333333")
START_MS = 1_700_000_000_000
SESSION_MS = 7_200_000
_SLOT_MS = 7_000

_INDEX = "event_by_sequence"

# `generation` counts the sessions of a stage, one after the other. All stages start theirs at the same time.
_STAGES = """
INSERT INTO stage (stage_key, arn, account_id, name, created_ms, tags, recording)
SELECT value + 1, 'arn:aws:ivs:us-west-2:' || account || ':stage/' || printf('stage%07d', value), account,
    'stage ' || value, :start, '{}', '{}'
FROM (SELECT value, CASE WHEN value % 10 < 7 THEN :large WHEN value % 10 < 9 THEN :middle ELSE :small END AS account
    FROM number WHERE value < :stages)
"""
_SESSIONS = """
INSERT INTO session (session_key, stage_key, session_id, start_ms, end_ms)
SELECT value + 1, value % :stages + 1, printf('st-%013d', value),
    :start + value / :stages * :session_ms, :start + (value / :stages + 1) * :session_ms - 1
FROM number WHERE value < :sessions
"""
_PARTICIPANTS = """
INSERT INTO participant (session_key, number, participant_id, user_id, state, published, first_join_ms)
SELECT session.session_key, value, printf('p%011d', session.session_key * :people + value),
    'user-' || ((session.session_key * :people + value) * 7919 % :users), 1, 1, session.start_ms
FROM session CROSS JOIN number ON number.value BETWEEN 1 AND :people
"""
_EVENTS = """
INSERT INTO event (session_key, participant_number, sequence, name, error_code, remote_participant_id, replica, cause)
SELECT session_key, person, sequence, iif(is_error, 7, name), iif(is_error, sequence / 3 % 14, NULL),
    iif(name IN (4, 5), printf('p%011d', session_key * :people + person % :people + 1), NULL), 0,
    CASE WHEN is_error THEN 7 WHEN name = 1 THEN iif(person % 20 = 0, 1, 0) END
FROM (SELECT session.session_key, person.value AS person,
        (session.start_ms + ((:events - 1 - turn.value) * :people + person.value) * :slot_ms << 20)
            | session.stage_key AS sequence,
        (session.session_key * 31 + person.value * 17 + turn.value * 7) % :error_interval = 0
            AND turn.value BETWEEN 1 AND :events - 2 AS is_error,
        CASE :events - 1 - turn.value WHEN 0 THEN 0 WHEN 1 THEN 2 WHEN :events - 2 THEN 3 WHEN :events - 1 THEN 1
            ELSE 4 + (:events - turn.value) % 2 END AS name
    FROM session CROSS JOIN number AS person ON person.value BETWEEN 1 AND :people
        CROSS JOIN number AS turn ON turn.value < :events)
"""
_NUMBERS = """
CREATE TEMP TABLE number (value INTEGER PRIMARY KEY);
INSERT INTO number
WITH RECURSIVE counted(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM counted WHERE value < :largest)
SELECT value FROM counted;
"""
_LAST_SEQUENCE = "UPDATE sequencer SET last_sequence = (SELECT max(sequence) FROM event)"


def stage_arn(number: int) -> str:
    """Return the ARN of a stage: the last digit of its number decides its account."""
    account = ACCOUNTS[0] if number % 10 < 7 else ACCOUNTS[1] if number % 10 < 9 else ACCOUNTS[2]
    return f"arn:aws:ivs:us-west-2:{account}:stage/stage{number:07d}"


def events_of(sessions: int) -> int:
    """Return the number of events of a book with so many sessions."""
    return sessions * PARTICIPANTS_PER_SESSION * EVENTS_PER_PARTICIPANT


def write_large_book(path: Path, *, sessions: int) -> None:
    """Write a new book with so many sessions at `path`."""
    asyncio.run(_write_empty_book(path))
    connection = apsw.Connection(str(path))
    # The rows of each table are made in the order of its key, and the index over all events is made in the end.
    connection.execute("PRAGMA synchronous = OFF; PRAGMA temp_store = FILE; PRAGMA cache_size = -200000").fetchall()
    ((index,),) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (_INDEX,)).fetchall()
    connection.execute(f"DROP INDEX {_INDEX}").fetchall()
    parameters = {
        **dict(zip(("large", "middle", "small"), ACCOUNTS, strict=True)),
        "sessions": sessions,
        "stages": STAGES,
        "people": PARTICIPANTS_PER_SESSION,
        "events": EVENTS_PER_PARTICIPANT,
        "users": USERS,
        "error_interval": ERROR_INTERVAL,
        "start": START_MS,
        "session_ms": SESSION_MS,
        "slot_ms": _SLOT_MS,
        "largest": max(sessions, STAGES),
    }
    for statement in (_NUMBERS, _STAGES, _SESSIONS, _PARTICIPANTS, _EVENTS, str(index), _LAST_SEQUENCE):
        connection.execute(statement, parameters).fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


async def _write_empty_book(path: Path) -> None:
    await SqliteBook.open(path, read_secret=no_secret).close()
