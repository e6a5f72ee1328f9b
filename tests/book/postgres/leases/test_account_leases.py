"""Who owns an account: one run at a time, by the clock of the database."""

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from stagebook.book.postgres.leases.account_leases import LeaseChanges, take_account
from stagebook.book.postgres.leases.lease_reads import read_leases
from stagebook.book.postgres.leases.node_run import end_run, register_run, renew_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import BookUnreachableError, RunFencedError

ACCOUNT = "123456789012"
LATE = "UPDATE node_run SET heartbeat_at = clock_timestamp() - interval '3.1 s' WHERE run_id = %s"


def registered(connection: PostgresConnection, node: str) -> int:
    return register_run(connection, node=node, internal_url=f"http://{node}", software_version="1")


@pytest.fixture
def first(connection: PostgresConnection) -> int:
    """A run that owns the account."""
    run_id = registered(connection, "first")
    assert take_account(connection, ACCOUNT, run_id=run_id).is_taken
    return run_id


@pytest.fixture
def second(connection: PostgresConnection) -> int:
    """A run that owns nothing."""
    return registered(connection, "second")


@pytest.fixture
def other(postgres_book_url: str) -> Iterator[PostgresConnection]:
    """Another connection."""
    connection = PostgresConnection(postgres_book_url)
    yield connection
    connection.close()


def abandoned(connection: PostgresConnection) -> tuple[str, ...]:
    read = read_leases(connection, None)
    return tuple(account_id for account_id, run_id in read.runs.items() if run_id not in read.living)


def owner(connection: PostgresConnection) -> tuple[int, bool]:
    read = read_leases(connection, None)
    return read.runs[ACCOUNT], read.runs[ACCOUNT] in read.living


def test_a_free_account_is_taken_and_taken_again_by_its_owner(connection: PostgresConnection, first: int) -> None:
    taking = take_account(connection, ACCOUNT, run_id=first)
    assert (taking.is_taken, taking.former_run) == (True, first)
    assert owner(connection) == (first, True)


def test_an_account_of_a_living_run_is_not_taken(connection: PostgresConnection, first: int, second: int) -> None:
    assert not take_account(connection, ACCOUNT, run_id=second).is_taken
    assert abandoned(connection) == ()
    assert owner(connection) == (first, True)
    renew_run(connection, first)


def test_the_account_of_a_late_run_is_taken_and_the_run_fenced(
    connection: PostgresConnection, first: int, second: int
) -> None:
    connection.execute(LATE, (first,))
    assert owner(connection) == (first, False)
    assert abandoned(connection) == (ACCOUNT,)
    taking = take_account(connection, ACCOUNT, run_id=second)
    assert (taking.is_taken, taking.former_run) == (True, first)
    assert owner(connection) == (second, True)
    with pytest.raises(RunFencedError):
        renew_run(connection, first)
    with pytest.raises(RunFencedError):
        take_account(connection, ACCOUNT, run_id=first)


def test_a_late_run_that_renews_before_it_is_fenced_keeps_its_account(
    connection: PostgresConnection, first: int, second: int
) -> None:
    connection.execute(LATE, (first,))
    renew_run(connection, first)
    assert not take_account(connection, ACCOUNT, run_id=second).is_taken


def test_the_account_of_an_ended_run_is_taken_at_once(connection: PostgresConnection, first: int, second: int) -> None:
    end_run(connection, first)
    end_run(connection, first)
    assert abandoned(connection) == (ACCOUNT,)
    assert take_account(connection, ACCOUNT, run_id=second).is_taken


def test_a_taker_learns_the_newest_sequence_number_of_the_account(
    connection: PostgresConnection, first: int, second: int
) -> None:
    connection.execute("UPDATE node_run SET last_sequence = 77 WHERE run_id = %s", (first,))
    end_run(connection, first)
    assert take_account(connection, ACCOUNT, run_id=second).last_sequence == 77
    end_run(connection, second)
    third = registered(connection, "third")
    assert take_account(connection, ACCOUNT, run_id=third).last_sequence == 77


@pytest.mark.parametrize("is_late", [False, True], ids=["free", "of a late run"])
def test_of_many_takers_one_succeeds(connection: PostgresConnection, postgres_book_url: str, *, is_late: bool) -> None:
    accounts = [f"{number:012}" for number in range(30)]
    if is_late:
        former = registered(connection, "former")
        for account in accounts:
            take_account(connection, account, run_id=former)
        connection.execute(LATE, (former,))
    taken: list[tuple[str, int]] = []
    ready = threading.Barrier(6)

    def take_all(number: int) -> None:
        own = PostgresConnection(postgres_book_url)
        run_id = registered(own, f"node{number}")
        ready.wait()
        taken.extend(
            (account, run_id)
            for account in accounts
            if take_account(own, account, run_id=run_id, lease_seconds=2.0).is_taken
        )
        own.close()

    takers = [threading.Thread(target=take_all, args=(number,)) for number in range(6)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert Counter(account for account, _ in taken) == Counter(accounts)
    assert set(read_leases(connection, None).runs.items()) == set(taken)


def test_a_fence_ends_the_session_of_a_late_run_that_holds_its_row(
    connection: PostgresConnection, other: PostgresConnection, first: int, second: int
) -> None:
    other.script("SET idle_in_transaction_session_timeout = 0")
    renew_run(other, first)
    other.script("BEGIN")
    connection.execute(LATE, (first,))
    other.execute("SELECT run_id FROM node_run WHERE run_id = %s FOR UPDATE", (first,))
    connection.script("SET lock_timeout = '50ms'")
    assert take_account(connection, ACCOUNT, run_id=second).is_taken
    with pytest.raises(BookUnreachableError):
        other.script("COMMIT")


def test_a_change_of_the_owner_is_notified(
    connection: PostgresConnection, other: PostgresConnection, first: int, second: int
) -> None:
    changes = LeaseChanges(other)
    assert changes.wait(0.0), "what happened before it listened is unknown"
    assert not changes.wait(0.01)
    end_run(connection, first)
    take_account(connection, ACCOUNT, run_id=second)
    assert changes.wait(10.0)


def test_changes_are_listened_to_again_after_an_outage(
    connection: PostgresConnection, other: PostgresConnection, first: int
) -> None:
    changes = LeaseChanges(other)
    changes.wait(0.0)
    connection.execute("SELECT pg_terminate_backend(%s::integer)", (other.session.info.backend_pid,))
    with pytest.raises(BookUnreachableError):
        changes.wait(10.0)
    assert changes.wait(0.0), "a change may have been missed"
    second = registered(connection, "second")
    end_run(connection, first)
    take_account(connection, ACCOUNT, run_id=second)
    assert changes.wait(10.0)
