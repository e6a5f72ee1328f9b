"""The tables that a copy of a book has, with their columns and keys, in the order in which they are copied.

SHARED_TABLES are those of webhooks and bearer keys. A database has them beside the book, a data folder in files.

All stores have these tables and columns. Every column is listed, and tests compare the list with the schema of each
store, so that a migration cannot add one that copies lose. What is not listed belongs to one store, or is one of the
key counters (`copy_ports.py`).
"""

from typing import Final

import msgspec


class CopiedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table: its columns in the order of the rows of a copy, the primary key first.

    `binary_columns` are text that SQLite stores as a blob. Rows of a copy have it as a string.
    """

    name: str
    key: tuple[str, ...]
    other_columns: tuple[str, ...] = ()
    binary_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row."""
        return (*self.key, *self.other_columns)


def _table(name: str, key: str, other_columns: str = "", *, binary: str = "") -> CopiedTable:
    return CopiedTable(
        name=name,
        key=tuple(key.split()),
        other_columns=tuple(other_columns.split()),
        binary_columns=tuple(binary.split()),
    )


OPEN_EVENT: Final = _table("open_event", "session_key participant_number name about", "sequence open_count")

COPIED_TABLES: Final = (
    _table("stage", "stage_key", "arn account_id name created_ms tags recording deleted_ms"),
    _table("session", "session_key", "stage_key session_id start_ms end_ms"),
    _table(
        "participant",
        "session_key number",
        "participant_id user_id state published first_join_ms rest recording_state recording_bucket recording_prefix",
    ),
    _table(
        "event",
        "session_key participant_number sequence",
        "name error_code remote_participant_id replica cause detail extra",
        binary="extra",
    ),
    OPEN_EVENT,
    _table("open_recording", "recording_id", "session_key participant_number state bucket prefix is_started is_shown"),
    _table("revocation", "stage_key participant_id", "revoked_ms reason"),
    _table("connection_token_revocation", "account_id token_id", "revoked_ms"),
    _table("resource", "resource_key", "arn account_id resource_type value"),
    _table(
        "replica",
        "replica_key",
        "source_stage_key source_session_key participant_id destination_session_key state",
    ),
    _table("composition", "composition_key", "arn account_id stage_arn start_ms end_ms value"),
    _table("composition_event", "sequence", "composition_key name destination_id error_code cause"),
    _table("expired_session", "session_key"),
    _table("expired_composition", "composition_key"),
)

SHARED_TABLES: Final = (
    _table("destination", "destination_id", "account_id document created_ms"),
    _table("run", "run_key", "destination_id kind position end_sequence session_id since_ms"),
    _table("lagging_session", "run_key session_id", "position"),
    _table(
        "delivery",
        "delivery_key",
        "destination_id run_key sequence event_id name session_id origin state attempts status error first_ms last_ms"
        " next_ms",
    ),
    _table("dead_letter", "destination_id sequence", "event_id name session_id attempts status error died_ms"),
    _table("test_request", "request_key", "destination_id event_id requested_ms"),
    _table(
        "backlog",
        "destination_id",
        "pending is_complete oldest_sequence blocked_sessions delivered failed_attempts dead",
    ),
    _table("bearer_key", "key_id", "document created_ms"),
)
COUNTED_SHARED: Final = ("run", "delivery", "test_request")
"""The tables of SHARED_TABLES whose keys the store counts. The key is their first column."""
