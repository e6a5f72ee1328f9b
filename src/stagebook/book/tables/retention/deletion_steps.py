"""The deletion of old rows in steps: functions that run on the writing connection, each one transaction.

A step writes a bounded number of rows, however many there are to delete, because a transaction that is submitted during
a step waits for its end. So the deletion of a session takes several steps. The first one moves its key from table
`session` to table `expired_session`: every read looks a session up in `session`, so all of it is gone for readers at
once. The following steps delete its other rows, and at last the row in `expired_session`. After a crash the steps go on
with what that table has.

Keys are positions in pages and must not be used again, and neither must sequence numbers. So a step that deletes a
stage or a session notes its key, and the first step notes the newest sequence number, which may be that of an event
that a later step deletes.

The statements have SQLite's form, with parameters `?1`, `?2` and so on.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from stagebook.book.book_values import RetentionStep

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
FORGET_EXPIRED_SESSION = "DELETE FROM expired_session WHERE session_key = ?1"
NEXT_EXPIRED_COMPOSITION = "SELECT composition_key FROM expired_composition ORDER BY composition_key LIMIT 1"
DELETE_COMPOSITION_EVENTS = """
DELETE FROM composition_event WHERE sequence IN (
    SELECT sequence FROM composition_event WHERE composition_key = ?1 LIMIT ?2)
"""
FORGET_EXPIRED_COMPOSITION = "DELETE FROM expired_composition WHERE composition_key = ?1"
DELETE_REVOCATIONS = """
DELETE FROM revocation WHERE stage_key = ?1 AND participant_id IN (
    SELECT participant_id FROM revocation WHERE stage_key = ?1 AND revoked_ms < ?2 LIMIT ?3)
"""
DELETE_STAGE = "DELETE FROM stage WHERE stage_key = ?1"
DELETE_CONNECTION_REVOCATIONS = """
DELETE FROM connection_token_revocation WHERE account_id = ?1 AND token_id IN (
    SELECT token_id FROM connection_token_revocation WHERE account_id = ?1 AND revoked_ms < ?2 LIMIT ?3)
"""


class DeletingConnection(Protocol):
    """The writing connection of a store, for steps of deletion."""

    def transaction(self) -> AbstractContextManager[object]:
        """One transaction, if none is open."""

    def delete(self, statement: str, *parameters: str | int) -> int:
        """Execute a statement that deletes; return the number of rows."""

    def first_key(self, statement: str) -> int | None:
        """Return the key that a statement selects, None without a row."""

    def hide_sessions(self, keys: Sequence[int]) -> None:
        """Delete these rows of `session`, and insert the keys into `expired_session`. Neither they nor a sequence
        number of their events may be used again."""

    def hide_compositions(self, keys: Sequence[int]) -> None:
        """The same for `composition` and `expired_composition`."""

    def note_stage_key(self, key: int) -> None:
        """Note a key of `stage` as one that must not be used again."""


class StageDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """What to delete of one stage: the revocations before a time, and the stage itself if `is_gone`."""

    stage_key: int
    revoked_before_ms: int
    is_gone: bool


def expire_sessions(connection: DeletingConnection, session_keys: Sequence[int]) -> RetentionStep:
    """Hide ended sessions from all reads, and list them in table `expired_session`."""
    with connection.transaction():
        connection.hide_sessions(session_keys)
    return RetentionStep(rows={"session": len(session_keys)})


def delete_expired(connection: DeletingConnection, maximum_rows: int) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` rows of expired sessions. Return also whether there may be more."""
    rows: Counter[str] = Counter()
    with connection.transaction():
        left = maximum_rows
        while left > 0:
            session_key = connection.first_key(NEXT_EXPIRED_SESSION)
            if session_key is None:
                break
            for table, statement in DELETE_ROWS_OF_SESSION.items():
                count = connection.delete(statement, session_key, left)
                rows[table] += count
                left -= count
                if left <= 0:
                    break
            else:
                left -= connection.delete(FORGET_EXPIRED_SESSION, session_key)
    return RetentionStep(rows=rows), left <= 0


def expire_compositions(connection: DeletingConnection, composition_keys: Sequence[int]) -> RetentionStep:
    """Hide ended compositions from all reads, and list them in table `expired_composition`."""
    with connection.transaction():
        connection.hide_compositions(composition_keys)
    return RetentionStep(rows={"composition": len(composition_keys)})


def delete_expired_compositions(connection: DeletingConnection, maximum_rows: int) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` rows of expired compositions. Return also whether there may be more."""
    count, left = 0, maximum_rows
    with connection.transaction():
        while left > 0:
            composition_key = connection.first_key(NEXT_EXPIRED_COMPOSITION)
            if composition_key is None:
                break
            deleted = connection.delete(DELETE_COMPOSITION_EVENTS, composition_key, left)
            count += deleted
            left -= deleted
            if left > 0:
                left -= connection.delete(FORGET_EXPIRED_COMPOSITION, composition_key)
    return RetentionStep(rows={"composition_event": count}), left <= 0


def delete_of_stages(
    connection: DeletingConnection, deletions: Sequence[StageDeletion], maximum_rows: int
) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` rows of these stages. Return also whether the same call may find more."""
    rows: Counter[str] = Counter()
    with connection.transaction():
        left = maximum_rows
        for each in deletions:
            count = connection.delete(DELETE_REVOCATIONS, each.stage_key, each.revoked_before_ms, left)
            rows["revocation"] += count
            left -= count
            if left > 0 and each.is_gone:
                count = connection.delete(DELETE_STAGE, each.stage_key)
                connection.note_stage_key(each.stage_key)
                rows["stage"] += count
                left -= count
            if left <= 0:
                break
    return RetentionStep(rows=rows), left <= 0


def delete_connection_revocations(
    connection: DeletingConnection, account_id: str, revoked_before_ms: int, maximum_rows: int
) -> tuple[RetentionStep, bool]:
    """Delete at most `maximum_rows` revocations of connection tokens. Return also whether there may be more."""
    with connection.transaction():
        count = connection.delete(DELETE_CONNECTION_REVOCATIONS, account_id, revoked_before_ms, maximum_rows)
    return RetentionStep(rows={"connection_token_revocation": count}), count == maximum_rows
