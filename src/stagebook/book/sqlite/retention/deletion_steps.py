"""The deletion of old rows in steps: functions that run on the writing connection, each one transaction.

A step writes a bounded number of rows, however many there are to delete, because a transaction that is submitted during
a step waits for its end. So the deletion of a session takes several steps. The first one moves its key from table
`session` to table `expired_session`: every read looks a session up in `session`, so all of it is gone for readers at
once. The following steps delete its other rows, and at last the row in `expired_session`. After a crash the steps go on
with what that table has.

Keys are positions in pages and must not be used again. A step that deletes a stage or a session therefore stores its
key as a lower bound of new keys, in table `sequencer`. Sequence numbers must not be used again either, so the first
step also stores the newest one: it may be that of an event that a later step deletes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw
import msgspec

from stagebook.book.store import RetentionStep
from stagebook.book.tables.queries import NOTE_LAST_SEQUENCE

EXPIRE_SESSIONS = "INSERT INTO expired_session (session_key) SELECT value FROM json_each(?)"
DELETE_SESSIONS = "DELETE FROM session WHERE session_key IN (SELECT value FROM json_each(?))"
NOTE_SESSION_KEY = "UPDATE sequencer SET last_session_key = max(last_session_key, ?)"
NEXT_EXPIRED_SESSION = "SELECT session_key FROM expired_session ORDER BY session_key LIMIT 1"
# Each takes the key of a session and the maximum number of rows. The events first: most rows are events.
DELETE_ROWS_OF_SESSION = {
    "event": """
DELETE FROM event WHERE session_key = ?1 AND (participant_number, sequence) IN (
    SELECT participant_number, sequence FROM event WHERE session_key = ?1 LIMIT ?2)
""",
    "open_event": """
DELETE FROM open_event WHERE session_key = ?1 AND (participant_number, name, about) IN (
    SELECT participant_number, name, about FROM open_event WHERE session_key = ?1 LIMIT ?2)
""",
    "open_recording": """
DELETE FROM open_recording WHERE recording_id IN (
    SELECT recording_id FROM open_recording WHERE session_key = ?1 LIMIT ?2)
""",
    "participant": """
DELETE FROM participant WHERE session_key = ?1 AND number IN (
    SELECT number FROM participant WHERE session_key = ?1 LIMIT ?2)
""",
    "replica": """
DELETE FROM replica WHERE replica_key IN (
    SELECT replica_key FROM replica WHERE source_session_key = ?1
    UNION SELECT replica_key FROM replica WHERE destination_session_key = ?1 LIMIT ?2)
""",
}
FORGET_EXPIRED_SESSION = "DELETE FROM expired_session WHERE session_key = ?"
EXPIRE_COMPOSITIONS = "INSERT INTO expired_composition (composition_key) SELECT value FROM json_each(?)"
DELETE_COMPOSITIONS = "DELETE FROM composition WHERE composition_key IN (SELECT value FROM json_each(?))"
NEXT_EXPIRED_COMPOSITION = "SELECT composition_key FROM expired_composition ORDER BY composition_key LIMIT 1"
DELETE_COMPOSITION_EVENTS = """
DELETE FROM composition_event WHERE sequence IN (
    SELECT sequence FROM composition_event WHERE composition_key = ?1 LIMIT ?2)
"""
FORGET_EXPIRED_COMPOSITION = "DELETE FROM expired_composition WHERE composition_key = ?"
DELETE_REVOCATIONS = """
DELETE FROM revocation WHERE stage_key = ?1 AND participant_id IN (
    SELECT participant_id FROM revocation WHERE stage_key = ?1 AND revoked_ms < ?2 LIMIT ?3)
"""
DELETE_STAGE = "DELETE FROM stage WHERE stage_key = ?"
NOTE_STAGE_KEY = "UPDATE sequencer SET last_stage_key = max(last_stage_key, ?)"
DELETE_CONNECTION_REVOCATIONS = """
DELETE FROM connection_token_revocation WHERE account_id = ?1 AND token_id IN (
    SELECT token_id FROM connection_token_revocation WHERE account_id = ?1 AND revoked_ms < ?2 LIMIT ?3)
"""


class StageDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """What to delete of one stage: the revocations before a time, and the stage itself if `is_gone`."""

    stage_key: int
    revoked_before_ms: int
    is_gone: bool


def expire_sessions(connection: apsw.Connection, session_keys: Sequence[int]) -> RetentionStep:
    """Hide ended sessions from all reads, and list them in table `expired_session`."""
    keys = msgspec.json.encode(session_keys).decode()
    with _transaction(connection):
        connection.execute(EXPIRE_SESSIONS, (keys,))
        connection.execute(DELETE_SESSIONS, (keys,))
        connection.execute(NOTE_SESSION_KEY, (max(session_keys),))
        connection.execute(NOTE_LAST_SEQUENCE)
    return RetentionStep(rows={"session": len(session_keys)})


def delete_expired(connection: apsw.Connection, maximum_rows: int) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` rows of expired sessions. Return also whether there may be more."""
    rows: Counter[str] = Counter()
    with _transaction(connection):
        left = maximum_rows
        while left > 0:
            found: list[Any] = connection.execute(NEXT_EXPIRED_SESSION).fetchall()
            if not found:
                break
            ((session_key,),) = found
            for table, statement in DELETE_ROWS_OF_SESSION.items():
                count = _changed(connection, statement, session_key, left)
                rows[table] += count
                left -= count
                if left <= 0:
                    break
            else:
                left -= _changed(connection, FORGET_EXPIRED_SESSION, session_key)
    return RetentionStep(rows=rows), left <= 0


def expire_compositions(connection: apsw.Connection, composition_keys: Sequence[int]) -> RetentionStep:
    """Hide ended compositions from all reads, and list them in table `expired_composition`."""
    keys = msgspec.json.encode(composition_keys).decode()
    with _transaction(connection):
        connection.execute(EXPIRE_COMPOSITIONS, (keys,))
        connection.execute(DELETE_COMPOSITIONS, (keys,))
        connection.execute(NOTE_LAST_SEQUENCE)
    return RetentionStep(rows={"composition": len(composition_keys)})


def delete_expired_compositions(connection: apsw.Connection, maximum_rows: int) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` rows of expired compositions. Return also whether there may be more."""
    count, left = 0, maximum_rows
    with _transaction(connection):
        while left > 0:
            found: list[Any] = connection.execute(NEXT_EXPIRED_COMPOSITION).fetchall()
            if not found:
                break
            ((composition_key,),) = found
            deleted = _changed(connection, DELETE_COMPOSITION_EVENTS, composition_key, left)
            count += deleted
            left -= deleted
            if left > 0:
                left -= _changed(connection, FORGET_EXPIRED_COMPOSITION, composition_key)
    return RetentionStep(rows={"composition_event": count}), left <= 0


def delete_of_stages(
    connection: apsw.Connection, deletions: Sequence[StageDeletion], maximum_rows: int
) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` rows of these stages. Return also whether the same call may find more."""
    rows: Counter[str] = Counter()
    with _transaction(connection):
        left = maximum_rows
        for each in deletions:
            count = _changed(connection, DELETE_REVOCATIONS, each.stage_key, each.revoked_before_ms, left)
            rows["revocation"] += count
            left -= count
            if left > 0 and each.is_gone:
                count = _changed(connection, DELETE_STAGE, each.stage_key)
                connection.execute(NOTE_STAGE_KEY, (each.stage_key,))
                rows["stage"] += count
                left -= count
            if left <= 0:
                break
    return RetentionStep(rows=rows), left <= 0


def delete_connection_revocations(
    connection: apsw.Connection, account_id: str, revoked_before_ms: int, maximum_rows: int
) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` revocations of connection tokens. Return also whether there may be more."""
    with _transaction(connection):
        count = _changed(connection, DELETE_CONNECTION_REVOCATIONS, account_id, revoked_before_ms, maximum_rows)
    return RetentionStep(rows={"connection_token_revocation": count}), count == maximum_rows


def give_back_pages(connection: apsw.Connection, maximum_pages: int) -> tuple[RetentionStep, bool]:
    """Cut at most `maximum_pages` free pages off the file. Return also whether there are more.

    SQLite moves the last pages of the file to the place of free ones (sqlite.org/pragma.html, incremental_vacuum). The
    file becomes shorter at the next checkpoint. A file without `auto_vacuum` keeps its free pages for new rows.
    """
    before = _number(connection, "page_count")
    connection.execute(f"PRAGMA incremental_vacuum({maximum_pages})").fetchall()
    pages = before - _number(connection, "page_count")
    step = RetentionStep(freed_bytes=pages * _number(connection, "page_size"))
    return step, pages > 0 and _number(connection, "freelist_count") > 0


def move_log(connection: apsw.Connection) -> RetentionStep:
    """Write the write-ahead log to the file as far as no reader needs it, without waiting for one."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return RetentionStep()


def truncate_log(connection: apsw.Connection) -> RetentionStep:
    """Write the write-ahead log to the file and empty it. With a reader in the log, it stays as it is."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return RetentionStep()


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """One transaction. After an error it is still open, and the writer rolls it back or fails."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _changed(connection: apsw.Connection, statement: str, *parameters: str | int) -> int:
    """Execute a statement and return the number of rows that it has deleted."""
    connection.execute(statement, parameters)
    return connection.changes()


def _number(connection: apsw.Connection, pragma: str) -> int:
    value: Any = connection.pragma(pragma)
    return int(value)
