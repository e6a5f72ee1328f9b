"""The schema of a book in PostgreSQL: the migrations that make it, and who may use which version.

Several nodes use one book, and are upgraded one after the other. `book_info.version` is the number of migrations that
have been applied, and `minimum_version` the version of the oldest Stagebook that may use the book:

* A Stagebook of a newer version applies what is missing, at its start, while others serve.
* A Stagebook of an older version uses the book as it is, if its own version is not below `minimum_version`. So a node
  that runs on, or is restarted, before its upgrade is not disturbed.
* Otherwise it refuses the book.

A migration therefore keeps `minimum_version` of the version before it, unless it raises it. It may keep it only if it
adds what the version before does not need to know: tables, indexes, columns that are NULL or have a default, functions
with a new name. A function that nodes call has its version in its name, and is dropped by the migration that excludes
its callers. A released migration must not be edited.

All migrations run in one transaction under a lock that all nodes know, so several nodes can start at once. They bound
how long they wait for the lock of a table, because writers of other nodes wait behind them.
"""

from typing import Final

import msgspec

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.schema.account_functions import ACCOUNT_FUNCTIONS
from stagebook.book.postgres.schema.lease_tracking import LEASE_TRACKING
from stagebook.book.postgres.schema.postgres_tables import BOOK_TABLES, CLUSTER_TABLES
from stagebook.book.postgres.schema.shared_tables import BEARER_KEY_TABLES, WEBHOOK_TABLES
from stagebook.book.postgres.write_function import WRITE_FUNCTION

_LOCK_KEY: Final = 0x53426F6B
"""`SBok` in ASCII: the key of the advisory lock under which migrations run."""


class PostgresMigration(msgspec.Struct, frozen=True, kw_only=True):
    """A step to the next version. `minimum_version` is the oldest version that may use the book after it."""

    statements: str
    minimum_version: int


POSTGRES_MIGRATIONS: Final = (
    PostgresMigration(statements=BOOK_TABLES + CLUSTER_TABLES + WRITE_FUNCTION + ACCOUNT_FUNCTIONS, minimum_version=1),
    PostgresMigration(statements=WEBHOOK_TABLES + BEARER_KEY_TABLES, minimum_version=1),
    PostgresMigration(statements=LEASE_TRACKING, minimum_version=1),
)

_INFO: Final = """
CREATE TABLE IF NOT EXISTS book_info (
    row_key smallint PRIMARY KEY CHECK (row_key = 1),
    version integer NOT NULL,
    minimum_version integer NOT NULL,
    cluster_id uuid NOT NULL DEFAULT gen_random_uuid()
)
"""


class BookInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which schema a book has. `cluster_id` is that of the book: a copy of the database has the same."""

    version: int
    minimum_version: int
    cluster_id: str


def migrate(
    connection: PostgresConnection, migrations: tuple[PostgresMigration, ...] = POSTGRES_MIGRATIONS
) -> BookInfo:
    """Bring the schema of a book to the newest version, if it is older; make it in an empty database.

    Several nodes may do this at the same time: one does it and the others wait. Raises BookRefusedError if the book is
    of a version that excludes this one, or if the database has tables of another program.
    """
    info = read_book_info(connection)
    if info is None or info.version < len(migrations):
        with connection.transaction():
            connection.script("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
            # A statement that waits for the lock of a table makes the other nodes wait behind it.
            connection.script("SET LOCAL lock_timeout = '1s'")
            _apply(connection, migrations)
        info = read_book_info(connection)
    return _accepted(info, len(migrations))


def require_schema(connection: PostgresConnection, version: int = len(POSTGRES_MIGRATIONS)) -> BookInfo:
    """Return the schema of a book that a server has made. Raises BookRefusedError if it cannot be read.

    An older schema, and none, are refused: only a server changes a schema.
    """
    info = read_book_info(connection)
    if info is None:
        raise BookRefusedError(f"{connection.place} has no book: start the server once to make one.")
    if info.version < version:
        raise BookRefusedError(f"{connection.place} is an older book: start the server once to bring it up to date.")
    return _accepted(info, version)


def read_book_info(connection: PostgresConnection) -> BookInfo | None:
    """Return which schema the book has, None if there is none."""
    if not _has_table(connection, "book_info"):
        return None
    rows = connection.execute("SELECT version, minimum_version, cluster_id::text FROM book_info")
    if not rows:
        return None
    version, minimum_version, cluster_id = rows[0]
    return BookInfo(version=version, minimum_version=minimum_version, cluster_id=cluster_id)


def _has_table(connection: PostgresConnection, name: str) -> bool:
    # Not by to_regclass, which may answer from a cache that is older than what another node has committed.
    return bool(
        connection.execute(
            "SELECT 1 FROM pg_catalog.pg_tables WHERE tablename = %s AND schemaname = ANY(current_schemas(false))",
            (name,),
        )
    )


def _apply(connection: PostgresConnection, migrations: tuple[PostgresMigration, ...]) -> None:
    """Apply what is missing, in the open transaction."""
    info = read_book_info(connection)
    if info is None:
        if _has_table(connection, "stage") or _has_table(connection, "event"):
            raise BookRefusedError(f"{connection.place} has tables of another program: use a database of its own.")
        connection.script(_INFO)
        connection.script("INSERT INTO book_info (row_key, version, minimum_version) VALUES (1, 0, 0)")
    version = 0 if info is None else info.version
    for number, migration in enumerate(migrations[version:], start=version + 1):
        connection.script(migration.statements)
        connection.execute(
            "UPDATE book_info SET version = %s, minimum_version = greatest(minimum_version, %s)",
            (number, migration.minimum_version),
        )


def _accepted(info: BookInfo | None, version: int) -> BookInfo:
    if info is None:
        raise BookRefusedError("The book was deleted while it was opened.")
    if info.minimum_version > version:
        raise BookRefusedError(
            f"The book has schema version {info.version}, which needs a Stagebook of version {info.minimum_version} or "
            f"newer; this one has version {version}. Install a newer Stagebook."
        )
    return info
