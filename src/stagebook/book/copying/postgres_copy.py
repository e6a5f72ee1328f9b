"""A book in PostgreSQL as the source and as the target of a copy.

A source is one read-only transaction with one snapshot. A target is one transaction: rows, key counters and secrets
become durable together, after they were compared, or not at all. Rows go through COPY in its binary format, as a
stream.

Both hold a lock on table `node_run`, which keeps servers from starting and writing until the copy ends. A source that
is copied while servers run does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType, TracebackType
from typing import Final, Self

import psycopg

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.copying.copied_secrets import SECRET_NAMES
from stagebook.book.copying.copied_tables import COPIED_TABLES, COUNTED_SHARED, SHARED_TABLES, CopiedTable
from stagebook.book.copying.copy_ports import CHUNK_ROWS, KeyCounters
from stagebook.book.postgres.key_blocks import BLOCK_KEYS
from stagebook.book.postgres.leases.node_run import LEASE_SECONDS
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import POSTGRES_MIGRATIONS, BookInfo, migrate, require_schema
from stagebook.book.postgres.postgres_session import failure
from stagebook.book.tables.queries import LAST_SEQUENCE
from stagebook.book.tables.rows import Row
from stagebook.book.tables.stored_row_keys import LAST_KEYS

_SETTINGS: Final = MappingProxyType(
    {
        # The statements and the transaction of a copy last as long as the book is large.
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "lock_timeout": "5s",
        "timezone": "UTC",
        "work_mem": "32MB",
        "jit": "off",
    }
)
_TEXT: Final = 25
"""The object id of type text (pg_type.dat)."""

_LIVE_RUNS: Final = """
SELECT node FROM node_run WHERE fenced_at IS NULL AND ended_at IS NULL
    AND heartbeat_at > clock_timestamp() - %s::double precision * interval '1 second' ORDER BY node
"""
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_OTHER_REMEDY: Final = "; or copy this moment with --while-running"
# A stopped process that goes on later must not write to the copy.
_FENCE_RUNS: Final = "UPDATE node_run SET fenced_at = clock_timestamp() WHERE fenced_at IS NULL AND ended_at IS NULL"
# The accounts of the book belong to a run that has ended. So a node takes them at its start, without being asked, and
# recovers the sessions that were open; its sequence numbers are larger than those of the copy.
_ADD_LEASES: Final = """
WITH run AS (
    INSERT INTO node_run (ended_at, backend_pid, node, internal_url, software_version)
    VALUES (clock_timestamp(), pg_backend_pid(), 'book-copy', '', '') RETURNING run_id)
INSERT INTO account_lease (account_id, run_id, last_sequence)
SELECT account_id, run_id, %s FROM run, (
    SELECT account_id FROM stage UNION SELECT account_id FROM resource UNION SELECT account_id FROM composition
    UNION SELECT account_id FROM connection_token_revocation) AS account
ON CONFLICT (account_id) DO UPDATE SET run_id = excluded.run_id, last_sequence = excluded.last_sequence
"""
_BLOCK_KEYS: Final = MappingProxyType(
    {name: f"{name}_block" for name in ("stage_key", "session_key", "composition_key")}
)
_IDENTITIES: Final = MappingProxyType({"resource_key": "resource", "replica_key": "replica"})
_SEQUENCE: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}"
_SET_SEQUENCER: Final = """
UPDATE sequencer SET last_sequence = %(last_sequence)s, last_stage_key = %(stage_key)s,
    last_session_key = %(session_key)s
"""


class _PostgresRows:
    """Reads the tables of a connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = PostgresConnection(url, settings=_SETTINGS)
        self.place = self._connection.place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The server rolls back the transaction of a session that ends.
        self._connection.close()

    def count(self, table: CopiedTable) -> int:
        """Return the number of rows of a table."""
        return int(self._one(f"SELECT count(*) FROM {table.name}"))  # noqa: S608 - a name of COPIED_TABLES

    def chunks(self, table: CopiedTable) -> Iterator[list[Row]]:
        """Yield all rows of a table, in the order of its key."""
        types = self._types(table)
        # The order of the bytes of UTF-8, which is also that of Python's strings.
        order = ", ".join(f'{name} COLLATE "C"' if types[name] == _TEXT else name for name in table.key)
        rows_in_order = f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {order}"  # noqa: S608 - as above
        try:
            with self._cursor() as cursor, cursor.copy(f"COPY ({rows_in_order}) TO STDOUT (FORMAT binary)") as copy:
                copy.set_types(list(types.values()))
                rows = copy.rows()
                while chunk := list(islice(rows, CHUNK_ROWS)):
                    yield chunk
        except psycopg.Error as error:
            raise failure(self._url, error) from error

    def key_counters(self) -> KeyCounters:
        """Return what the book must not give out again: also the keys of blocks that were given to nodes."""
        stage_key, session_key = self._connection.rows(LAST_KEYS)[0]
        composition_key = self._one("SELECT coalesce(max(composition_key), 0) FROM composition")
        in_use = {"stage_key": stage_key, "session_key": session_key, "composition_key": composition_key}
        counters = {"last_sequence": self._connection.rows(LAST_SEQUENCE)[0][0]}
        for name, sequence in _BLOCK_KEYS.items():
            block = self._one(_SEQUENCE.format(sequence))
            counters[name] = max(in_use[name], (block + 1) * BLOCK_KEYS - 1 if block else 0)
        for name, table in _IDENTITIES.items():
            counters[name] = self._one(_SEQUENCE.format(self._identity(table, name)))
        return KeyCounters(**counters)

    def shared_counters(self) -> dict[str, int]:
        """Return the largest keys of the tables of webhooks."""
        return {name: self._one(_SEQUENCE.format(self._shared_identity(name))) for name in COUNTED_SHARED}

    def read_secrets(self) -> dict[str, bytes]:
        """Return the secrets of the book, by their names."""
        rows = self._connection.execute("SELECT name, value FROM shared_secret ORDER BY name")
        return {name: value for name, value in rows if name in SECRET_NAMES}

    def _shared_identity(self, table: str) -> str:
        return self._identity(table, next(each.key[0] for each in SHARED_TABLES if each.name == table))

    def _identity(self, table: str, column: str) -> str:
        rows = self._connection.execute("SELECT pg_get_serial_sequence(%s, %s)", (table, column))
        return str(rows[0][0])

    def _one(self, statement: str) -> int:
        return int(self._connection.execute(statement)[0][0])

    def _types(self, table: CopiedTable) -> dict[str, int]:
        """Return the object ids of the types of a table's columns."""
        with self._cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(table.columns)} FROM {table.name} LIMIT 0")  # noqa: S608 - as above
            return {column.name: column.type_code for column in cursor.description or ()}

    def _cursor(self) -> "psycopg.Cursor[Row]":
        return self._connection.session.cursor()

    def _require_stopped(self, other_remedy: str = "") -> None:
        """Raise BookRefusedError if servers use the book. They are asked for before the lock, which would stop them."""
        if nodes := [node for (node,) in self._connection.execute(_LIVE_RUNS, (LEASE_SECONDS,))]:
            raise BookRefusedError(
                f"{self.place} is in use by {', '.join(nodes)}: stop these servers, and wait {LEASE_SECONDS:.0f}"
                f" seconds if they were killed{other_remedy}"
            )


class PostgresSource(_PostgresRows):
    """Implements `SourceStore`, `SharedRows` and `BookSecrets`."""

    def __init__(self, url: str, *, while_running: bool) -> None:
        """Begin to read. Servers may use the book only if `while_running`.

        Raises BookRefusedError, and BookFailedError if the database cannot be reached.
        """
        super().__init__(url)
        try:
            _require_present(require_schema(self._connection))
            if while_running:
                self._connection.script(_BEGIN_READING)
                # The snapshot is taken by the first read, not by BEGIN.
                self._one("SELECT 1")
            else:
                self._require_stopped(_OTHER_REMEDY)
                self._connection.script(_BEGIN_READING)
                # LOCK TABLE takes no snapshot, so the first read after it is the moment of the copy.
                self._connection.script("LOCK TABLE node_run IN SHARE MODE")
                self._require_stopped(_OTHER_REMEDY)
        except BaseException:
            self._connection.close()
            raise

    def write_secrets(self, secrets: Mapping[str, bytes]) -> None:
        """Refuse: a source is only read. Raises BookFailedError."""
        raise BookFailedError(f"{self.place} is only read: {len(secrets)} secrets cannot be added")


class PostgresTarget(_PostgresRows):
    """Implements `TargetStore`, `SharedTarget` and `BookSecrets`."""

    def __init__(self, url: str) -> None:
        """Begin a copy to an empty database, or to the empty book of a server that has ended.

        Raises BookRefusedError, and BookFailedError if the database cannot be reached.
        """
        super().__init__(url)
        try:
            _require_present(migrate(self._connection))
            self._require_stopped()
            self._connection.script("BEGIN")
            self._connection.script("LOCK TABLE node_run IN SHARE ROW EXCLUSIVE MODE")
            self._require_stopped()
            self._require_empty()
        except BaseException:
            self._connection.close()
            raise

    def insert(self, table: CopiedTable, rows: Sequence[Row]) -> None:
        """Add rows of a table. Raises BookFailedError."""
        statement = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN (FORMAT binary)"
        try:
            types = list(self._types(table).values())
            with self._cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
        except psycopg.DataError as error:
            raise BookFailedError(f"{_refused_row(table, rows)} {self.place}: {error}") from error
        except psycopg.Error as error:
            raise failure(self._url, error) from error

    def end_table(self, table: CopiedTable) -> None:
        """All rows of a table were added: let the planner know them."""
        self._connection.script(f"ANALYZE {table.name}")

    def set_key_counters(self, counters: KeyCounters) -> None:
        """Let the next keys and sequence numbers be larger than these, on every node."""
        values = {name: getattr(counters, name) for name in KeyCounters.__struct_fields__}
        self._connection.execute(_SET_SEQUENCER, values)
        for name, sequence in _BLOCK_KEYS.items():
            # The whole block of the largest key counts as given out.
            self._raise_sequence(sequence, values[name] // BLOCK_KEYS + 1)
        for name, table in _IDENTITIES.items():
            self._raise_sequence(self._identity(table, name), values[name])
        self._connection.execute(_FENCE_RUNS)
        self._connection.execute(_ADD_LEASES, (counters.last_sequence,))

    def set_shared_counters(self, counters: Mapping[str, int]) -> None:
        """Let the next keys of webhooks be larger than these."""
        for name, value in counters.items():
            self._raise_sequence(self._shared_identity(name), value)

    def complete_shared(self) -> None:
        """Tell processes that use the tables that they have changed."""
        self._connection.execute("UPDATE webhook_version SET version = version + 1")
        self._connection.execute("UPDATE bearer_key_version SET version = version + 1")

    def write_secrets(self, secrets: Mapping[str, bytes]) -> None:
        """Add secrets."""
        for name, value in secrets.items():
            self._connection.execute("INSERT INTO shared_secret (name, value) VALUES (%s, %s)", (name, value))

    def complete(self) -> None:
        """Make the copy durable, and the book that a server finds."""
        self._connection.script("COMMIT")

    def _raise_sequence(self, sequence: str, value: int) -> None:
        # A sequence is not a part of the transaction. It only grows, so a copy that is undone does no harm.
        if value > self._one(_SEQUENCE.format(sequence)):
            self._connection.execute("SELECT setval(%s::regclass, %s)", (sequence, value))

    def _require_empty(self) -> None:
        for table in (*COPIED_TABLES, *SHARED_TABLES):
            if self._one(f"SELECT count(*) FROM (SELECT 1 FROM {table.name} LIMIT 1) AS found"):  # noqa: S608 - as above
                raise BookRefusedError(
                    f"{self.place} has rows in table {table.name}: a book is copied only to where no book is, or an"
                    " empty one"
                )


def _require_present(info: BookInfo) -> None:
    """Raise BookRefusedError for a book that a newer Stagebook made: it can have columns that are not known here."""
    if info.version > len(POSTGRES_MIGRATIONS):
        raise BookRefusedError(
            f"the book has schema version {info.version}, and this Stagebook copies those of version"
            f" {len(POSTGRES_MIGRATIONS)}: copy with the newest Stagebook that uses it"
        )


def _refused_row(table: CopiedTable, rows: Sequence[Row]) -> str:
    """Return which row PostgreSQL cannot store. Its texts have no character NUL."""
    for row in rows:
        if any(isinstance(value, str) and "\x00" in value for value in row):
            return f"the row of {table.name} with the key {row[: len(table.key)]} has the character NUL, refused by"
    return f"a row of {table.name} is refused by"
