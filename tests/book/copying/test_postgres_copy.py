"""A book is copied to PostgreSQL and back: the same rows and secrets, keys that go on, or no book at all."""

import tracemalloc
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.changes import sequence_time_ms
from stagebook.book.copying.book_copy import RowDifference, compare_books, copy_rows
from stagebook.book.copying.copied_tables import COPIED_TABLES
from stagebook.book.copying.copy_ports import ReadableStore, TargetStore
from stagebook.book.copying.postgres_copy import PostgresSource, PostgresTarget
from stagebook.book.copying.sqlite_copy import SqliteSource, SqliteTarget
from stagebook.book.postgres.key_blocks import BLOCK_KEYS
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.stage.events import EventName
from tests.book.copying.full_book import NoProgress, write_full_book
from tests.book.copying.large_book import write_large_book
from tests.book.sample import (
    ACCOUNT,
    OTHER_ARN,
    OTHER_SESSION,
    append,
    commit,
    end_session,
    open_book,
    open_session,
    put,
    put_stage,
    read_secret,
)

NEW_ARN = OTHER_ARN[:-4] + "new0"
ADD_RUN = "INSERT INTO node_run (backend_pid, node, internal_url, software_version) VALUES (0, 'node-1', '', '')"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return write_full_book(tmp_path / "source" / "book.sqlite3")


@pytest.fixture
def copied(source: Path, postgres_url: str) -> str:
    """The URL of a database with a copy of `source`."""
    with SqliteSource(source, while_running=False) as of, PostgresTarget(postgres_url) as to:
        assert copy(of, to) == []
    return postgres_url


def copy(of: ReadableStore, to: TargetStore) -> list[RowDifference]:
    copy_rows(of, to, NoProgress())
    found = compared(of, to)
    if not found:
        to.complete()
    return found


def compared(of: ReadableStore, to: ReadableStore) -> list[RowDifference]:
    found: list[RowDifference] = []
    compare_books(of, to, found.append, NoProgress())
    return found


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a SQLite book, read without the code of copies."""
    connection = apsw.Connection(str(path))
    found: dict[str, list[tuple[Any, ...]]] = {}
    for table in COPIED_TABLES:
        found[table.name] = sorted(connection.execute(f"SELECT * FROM {table.name}").fetchall(), key=repr)  # noqa: S608
    connection.close()
    return found


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def count(url: str) -> int:
    """Return how many rows the book has."""
    with psycopg.connect(url) as connection:
        return sum(connection.execute(f"SELECT count(*) FROM {each.name}").fetchall()[0][0] for each in COPIED_TABLES)  # noqa: S608


def test_to_postgresql_and_back_all_rows_are_the_same(source: Path, copied: str, tmp_path: Path) -> None:
    target = tmp_path / "back.sqlite3"
    with PostgresSource(copied, while_running=False) as of, SqliteTarget(target) as to:
        assert copy(of, to) == []
    rows = dump(source)
    assert dump(target) == rows
    assert all(rows.values()), "the test needs rows in every table"


def test_the_next_keys_are_above_all_copied_ones(source: Path, copied: str) -> None:
    with SqliteSource(source, while_running=False) as of:
        counters = of.key_counters()
    with psycopg.connect(copied) as connection:
        ((resource, replica, stage_block, session_block, composition_block),) = connection.execute(
            "SELECT nextval(pg_get_serial_sequence('resource', 'resource_key')),"
            " nextval(pg_get_serial_sequence('replica', 'replica_key')),"
            " nextval('stage_key_block'), nextval('session_key_block'), nextval('composition_key_block')"
        ).fetchall()
        ((last_sequence,),) = connection.execute("SELECT last_sequence FROM sequencer").fetchall()
    assert (resource, replica) == (counters.resource_key + 1, counters.replica_key + 1)
    # The first key of a block is its number times BLOCK_KEYS.
    assert min(stage_block, session_block, composition_block) * BLOCK_KEYS > max(
        counters.stage_key, counters.session_key, counters.composition_key
    )
    assert last_sequence == counters.last_sequence


async def test_a_node_goes_on_with_a_copy_and_a_server_with_the_copy_of_that(
    source: Path, copied: str, tmp_path: Path
) -> None:
    with SqliteSource(source, while_running=False) as of:
        counters = of.key_counters()
    node = PostgresBook.open(copied, node=NodeDescription(name="a"), read_secret=read_secret)
    assert await node.acquire(ACCOUNT)
    (left,) = await commit(node, append("q", EventName.LEFT, arn=OTHER_ARN, session_id=OTHER_SESSION))
    ended_ms = sequence_time_ms(left) + 1_000
    await commit(node, end_session(OTHER_SESSION, arn=OTHER_ARN, end_ms=ended_ms), put_stage(NEW_ARN))
    await commit(
        node, open_session("st-new", arn=NEW_ARN, start_ms=ended_ms), put("n", arn=NEW_ARN, session_id="st-new")
    )
    await node.close()

    back = tmp_path / "back.sqlite3"
    with PostgresSource(copied, while_running=False) as of, SqliteTarget(back) as to:
        of_node = of.key_counters()
        assert copy(of, to) == []
    server = open_book(back)
    (joined,) = await commit(server, append("n", arn=NEW_ARN, session_id="st-new"))
    await server.close()
    assert counters.last_sequence < left < of_node.last_sequence < joined
    assert (counters.stage_key, counters.session_key) < (of_node.stage_key, of_node.session_key)
    keys = [row[0] for row in dump(back)["session"]]
    assert max(keys) > counters.session_key
    assert len(keys) == len(dump(source)["session"]) + 1


def test_the_next_node_takes_the_accounts_and_recovers_them(source: Path, copied: str) -> None:
    with SqliteSource(source, while_running=False) as of:
        last_sequence = of.key_counters().last_sequence
    with psycopg.connect(copied) as connection:
        leases = connection.execute(
            "SELECT account_id, account_lease.last_sequence, ended_at IS NOT NULL, fenced_at IS NULL"
            " FROM account_lease JOIN node_run USING (run_id)"
        ).fetchall()
    assert leases == [(ACCOUNT, last_sequence, True, True)]


def test_a_target_that_was_changed_is_found(source: Path, copied: str) -> None:
    execute(copied, "UPDATE event SET detail = 'other' WHERE error_code IS NOT NULL AND participant_number = 1")
    execute(copied, "DELETE FROM revocation")
    execute(copied, "SELECT setval('session_key_block', 1, false)")
    execute(copied, "UPDATE sequencer SET last_sequence = 0; DELETE FROM composition_event")
    with SqliteSource(source, while_running=False) as of, PostgresSource(copied, while_running=False) as to:
        found = compared(of, to)
    assert {(each.kind, each.table, each.columns) for each in found} == {
        ("different", "event", ("detail",)),
        ("missing", "revocation", ()),
        ("missing", "composition_event", ()),
        ("different", "key counters", ()),
    }


def test_a_copy_that_is_not_completed_leaves_no_row(source: Path, postgres_url: str) -> None:
    with SqliteSource(source, while_running=False) as of, PostgresTarget(postgres_url) as to:
        copy_rows(of, to, NoProgress())
        to.write_secrets({"stream-key-secret": b"secret"})
        assert count(postgres_url) == 0
    assert count(postgres_url) == 0
    with SqliteSource(source, while_running=False) as of, PostgresTarget(postgres_url) as to:
        assert to.read_secrets() == {}
        assert copy(of, to) == []


def test_secrets_are_added_with_the_rows(source: Path, postgres_url: str) -> None:
    secrets = {"stream-key-secret": bytes(range(64)), "page-token-secret": b"\x00\xff"}
    with SqliteSource(source, while_running=False) as of, PostgresTarget(postgres_url) as to:
        to.write_secrets(secrets)
        assert copy(of, to) == []
    with PostgresSource(postgres_url, while_running=False) as of:
        assert of.read_secrets() == secrets


def test_a_database_with_a_book_is_not_replaced(copied: str) -> None:
    with pytest.raises(BookRefusedError, match="has rows in table stage: a book is copied only to where no book is"):
        PostgresTarget(copied)


def test_a_book_that_a_server_uses_is_refused_as_the_source_and_as_the_target(source: Path, postgres_url: str) -> None:
    PostgresTarget(postgres_url).__exit__(None, None, None)
    execute(postgres_url, ADD_RUN)
    with pytest.raises(BookRefusedError, match="in use by node-1: stop these servers, and wait 3 seconds"):
        PostgresTarget(postgres_url)
    with pytest.raises(BookRefusedError, match="--while-running"):
        PostgresSource(postgres_url, while_running=False)
    with PostgresSource(postgres_url, while_running=True) as of:
        assert of.count(COPIED_TABLES[0]) == 0
    execute(postgres_url, "UPDATE node_run SET ended_at = clock_timestamp()")
    with SqliteSource(source, while_running=False) as of, PostgresTarget(postgres_url) as to:
        assert copy(of, to) == []


def test_no_server_starts_during_a_copy_and_a_stopped_one_may_not_go_on(source: Path, postgres_url: str) -> None:
    PostgresTarget(postgres_url).__exit__(None, None, None)
    execute(postgres_url, ADD_RUN)
    execute(postgres_url, "UPDATE node_run SET heartbeat_at = clock_timestamp() - interval '1 minute'")
    with SqliteSource(source, while_running=False) as of, PostgresTarget(postgres_url) as to:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            execute(postgres_url, "SET lock_timeout = '50ms';" + ADD_RUN)
        assert copy(of, to) == []
    with PostgresSource(postgres_url, while_running=False), pytest.raises(psycopg.errors.LockNotAvailable):
        execute(postgres_url, "SET lock_timeout = '50ms';" + ADD_RUN)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT fenced_at IS NULL FROM node_run WHERE node = 'node-1'").fetchall() == [
            (False,)
        ]


def test_a_source_is_of_one_moment(source: Path, copied: str, tmp_path: Path) -> None:
    with PostgresSource(copied, while_running=True) as of, SqliteTarget(tmp_path / "back.sqlite3") as to:
        execute(copied, "DELETE FROM event")
        assert copy(of, to) == []
    assert dump(tmp_path / "back.sqlite3") == dump(source)


def test_a_text_that_postgresql_cannot_store_is_named(source: Path, postgres_url: str) -> None:
    connection = apsw.Connection(str(source))
    connection.execute("UPDATE participant SET user_id = 'a' || char(0) WHERE number = 2").fetchall()
    connection.close()
    with (
        SqliteSource(source, while_running=False) as of,
        PostgresTarget(postgres_url) as to,
        pytest.raises(BookFailedError, match=r"the row of participant with the key \(1, 2\) has the character NUL"),
    ):
        copy(of, to)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_memory_does_not_grow_with_the_book(kind: str, postgres_url: str, tmp_path: Path) -> None:
    """All rows would be 5 MB of Python objects. The caches of SQLite are bounded by its settings."""
    write_large_book(tmp_path / "large.sqlite3", events=20_000)
    with (
        SqliteSource(tmp_path / "large.sqlite3", while_running=False) as of,
        PostgresTarget(postgres_url) if kind == "postgres" else SqliteTarget(tmp_path / "copy.sqlite3") as to,
    ):
        tracemalloc.start()
        try:
            assert copy(of, to) == []
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak_bytes < 3_000_000, peak_bytes


def test_a_newer_book_is_refused(copied: str) -> None:
    execute(copied, "UPDATE book_info SET version = version + 1")
    with pytest.raises(BookRefusedError, match="copy with the newest Stagebook that uses it"):
        PostgresSource(copied, while_running=False)
    with pytest.raises(BookRefusedError, match="copy with the newest Stagebook that uses it"):
        PostgresTarget(copied)
