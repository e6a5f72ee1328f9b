"""A connection: settings of its session, errors that say what to do, and what an outage costs."""

import threading
import time

import pytest

from stagebook.book.book_errors import BookDamagedError, BookFailedError, BookRefusedError
from stagebook.book.postgres import postgres_connection
from stagebook.book.postgres.postgres_connection import PostgresConnection, durability_warnings
from stagebook.book.postgres.postgres_session import BookUnreachableError, LockTimeoutError, place_of
from stagebook.book.tables import queries
from tests.postgres_server import running_server

PASSWORD = "do-not-show-this"


def other_connection(url: str) -> PostgresConnection:
    return PostgresConnection(url, patience_seconds=10.0)


def end_session(killer: PostgresConnection, connection: PostgresConnection) -> None:
    killer.execute("SELECT pg_terminate_backend(%s::integer)", (connection.session.info.backend_pid,))


def test_the_settings_bound_what_a_stopped_client_can_hold(connection: PostgresConnection) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit")
    values = [connection.execute(f"SHOW {name}")[0][0] for name in names]
    assert values == ["10s", "2s", "2s", "on"]


@pytest.mark.parametrize(("of_server", "of_session"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_a_commit_waits_for_the_disk_or_for_what_the_server_demands(
    connection: PostgresConnection, postgres_book_url: str, of_server: str, of_session: str
) -> None:
    name = place_of(postgres_book_url).split()[2]
    connection.script(f"ALTER DATABASE {name} SET synchronous_commit = {of_server}")
    other = other_connection(postgres_book_url)
    assert other.execute("SHOW synchronous_commit") == [(of_session,)]
    other.close()


def test_a_read_is_repeated_after_its_session_was_ended(connection: PostgresConnection, postgres_book_url: str) -> None:
    other = other_connection(postgres_book_url)
    end_session(connection, other)
    assert other.rows(queries.COUNT_STAGES, {"account": "1"}) == [(0,)]
    other.close()


def test_a_write_is_not_repeated(connection: PostgresConnection, postgres_book_url: str) -> None:
    other = other_connection(postgres_book_url)
    end_session(connection, other)
    with pytest.raises(BookUnreachableError, match="cannot be reached"):
        other.execute("UPDATE sequencer SET last_sequence = last_sequence + 1")
    other.execute("UPDATE sequencer SET last_sequence = last_sequence + 1")
    assert connection.execute("SELECT last_sequence FROM sequencer") == [(1,)]
    other.close()


def test_a_snapshot_is_not_continued_in_another_session(connection: PostgresConnection, postgres_book_url: str) -> None:
    other = other_connection(postgres_book_url)
    with other.snapshot():
        other.rows(queries.LAST_SEQUENCE)
        end_session(connection, other)
        with pytest.raises(BookUnreachableError):
            other.rows(queries.LAST_SEQUENCE)
    assert other.rows(queries.LAST_SEQUENCE) == [(0,)]
    other.close()


def test_the_reads_of_a_snapshot_see_one_state(connection: PostgresConnection, postgres_book_url: str) -> None:
    other = other_connection(postgres_book_url)
    with other.snapshot():
        before = other.rows(queries.LAST_SEQUENCE)
        connection.script("UPDATE sequencer SET last_sequence = 5")
        assert other.rows(queries.LAST_SEQUENCE) == before
    assert other.rows(queries.LAST_SEQUENCE) == [(5,)]
    other.close()


def test_a_transaction_is_rolled_back_if_it_raises(connection: PostgresConnection) -> None:
    def fail() -> None:
        with connection.transaction():
            connection.script("UPDATE sequencer SET last_sequence = 5")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with connection.transaction():
        connection.script("UPDATE sequencer SET last_session_key = 6")
    assert connection.execute("SELECT last_sequence, last_session_key FROM sequencer") == [(0, 6)]


def test_a_statement_that_takes_too_long_is_told_from_an_outage(connection: PostgresConnection) -> None:
    connection.script("SET statement_timeout = '20ms'")
    with pytest.raises(BookFailedError, match="statement timeout") as failed:
        connection.execute("SELECT pg_sleep(10)")
    assert not isinstance(failed.value, BookUnreachableError)


def test_a_lock_of_another_session_is_told_from_an_outage(
    connection: PostgresConnection, postgres_book_url: str
) -> None:
    other = other_connection(postgres_book_url)
    other.script("BEGIN; UPDATE sequencer SET last_sequence = 5")
    connection.script("SET lock_timeout = '20ms'")
    with pytest.raises(LockTimeoutError):
        connection.script("UPDATE sequencer SET last_sequence = 6")
    other.close()


def test_another_thread_interrupts_a_statement(connection: PostgresConnection) -> None:
    interrupter = threading.Timer(0.2, connection.interrupt)
    started = time.monotonic()
    interrupter.start()
    with pytest.raises(BookFailedError, match="user request"):
        connection.execute("SELECT pg_sleep(9)")
    assert time.monotonic() - started < 8
    interrupter.join()


@pytest.mark.parametrize("code", ["XX001", "XX002"])
def test_damage_is_told(connection: PostgresConnection, code: str) -> None:
    with pytest.raises(BookDamagedError, match="Restore it from a backup"):
        connection.script(f"DO $$ BEGIN RAISE EXCEPTION 'bad page' USING ERRCODE = '{code}'; END $$")


def test_a_database_that_another_server_has_replaced_fails_the_statement_and_not_the_start(
    connection: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_url: str, _settings: object) -> None:
        raise BookRefusedError("it has the encoding LATIN1")

    connection.session.close()
    monkeypatch.setattr(postgres_connection, "connect", refuse)
    with pytest.raises(BookFailedError, match="LATIN1"):
        connection.execute("SELECT 1")


def test_a_closed_connection_stays_closed(connection: PostgresConnection) -> None:
    connection.close()
    connection.close()
    with pytest.raises(BookFailedError, match="the book is closed"):
        connection.rows(queries.LAST_SEQUENCE)


@pytest.mark.parametrize(
    "url",
    [f"postgresql://u:{PASSWORD}@host:1/db?what={PASSWORD}", f"mysql://u:{PASSWORD}@host/db", f"{PASSWORD} = 1 ' x"],
)
def test_a_url_of_something_else_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BookRefusedError, match="has the form postgresql://") as refused:
        PostgresConnection(url)
    assert PASSWORD not in str(refused.value)
    assert refused.value.__suppress_context__


def test_an_unreachable_database_is_named_without_the_password() -> None:
    with pytest.raises(BookUnreachableError, match=r"database db at 127\.0\.0\.1:1 cannot be reached") as failed:
        PostgresConnection(f"postgresql://user:{PASSWORD}@127.0.0.1:1/db")
    assert PASSWORD not in str(failed.value)


def test_a_database_in_another_encoding_is_refused(connection: PostgresConnection, postgres_book_url: str) -> None:
    name = place_of(postgres_book_url).split()[2] + "_latin"
    connection.script(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(BookRefusedError, match="has the encoding LATIN1"):
        PostgresConnection(postgres_book_url.rpartition("/")[0] + f"/{name}")
    connection.script(f"DROP DATABASE {name}")


def test_the_settings_of_a_server_that_may_lose_data_are_told(connection: PostgresConnection) -> None:
    warnings = durability_warnings(connection)
    assert [warning.split(":")[0] for warning in warnings] == [
        "PostgreSQL has fsync = off",
        "PostgreSQL has full_page_writes = off",
    ]


def test_a_read_waits_for_a_server_that_restarts() -> None:
    with running_server() as server:
        connection = PostgresConnection(server.url(), patience_seconds=30.0)
        impatient = PostgresConnection(server.socket_url())
        assert durability_warnings(connection) == []
        server.stop("fast")
        with pytest.raises(BookUnreachableError):
            impatient.rows("SELECT 1")
        starting = threading.Timer(0.3, server.start)
        starting.start()
        assert connection.rows("SELECT 1") == [(1,)]
        starting.join()
        assert impatient.rows("SELECT 1") == [(1,)]
        connection.close()
        impatient.close()
