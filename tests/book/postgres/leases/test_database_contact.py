"""After an outage of the database nobody takes anything for one lease."""

import pytest

from stagebook.book.postgres.leases.database_contact import MAXIMUM_GAP_SECONDS, DatabaseContact
from stagebook.book.postgres.leases.node_run import HEARTBEAT_SECONDS, LEASE_SECONDS

DATABASE_SECONDS = 1_700_000_000.0


def contact_until(end: float, *, start: float = 0.0) -> DatabaseContact:
    """Return a contact with an answer in each quarter of a second."""
    contact = DatabaseContact()
    answers(contact, start, end)
    return contact


def answers(contact: DatabaseContact, start: float, end: float, *, jump_seconds: float = 0.0) -> None:
    now = start
    while now <= end:
        contact.note_answer(now, database_seconds=DATABASE_SECONDS + now + jump_seconds)
        now += 0.25


def test_a_node_without_contact_may_not_take() -> None:
    assert not DatabaseContact().may_take(100.0)


def test_a_node_may_take_after_one_lease_of_contact() -> None:
    assert not contact_until(2.75).may_take(2.9)
    assert contact_until(3.0).may_take(3.0)


def test_a_failure_begins_the_wait_anew() -> None:
    contact = contact_until(10.0)
    contact.note_failure()
    assert not contact.may_take(10.0)
    answers(contact, 10.25, 13.0)
    assert not contact.may_take(13.0)
    answers(contact, 13.25, 13.25)
    assert contact.may_take(13.25)


@pytest.mark.parametrize(("gap_seconds", "may_take"), [(1.4, True), (1.6, False)])
def test_a_gap_without_an_error_begins_the_wait_anew(gap_seconds: float, *, may_take: bool) -> None:
    contact = contact_until(10.0)
    answers(contact, 10.0 + gap_seconds, 10.0 + gap_seconds)
    assert contact.may_take(10.0 + gap_seconds) is may_take


def test_an_answer_that_is_late_counts_as_a_gap_before_it_comes() -> None:
    assert not contact_until(10.0).may_take(12.0)


def test_a_jump_of_the_databases_clock_begins_the_wait_anew() -> None:
    contact = contact_until(10.0)
    answers(contact, 10.25, 10.25, jump_seconds=2.0)
    assert not contact.may_take(10.25)
    answers(contact, 10.5, 13.25, jump_seconds=2.0)
    assert contact.may_take(13.25)


def test_no_heartbeat_is_too_old_after_a_gap_that_is_not_noticed() -> None:
    assert MAXIMUM_GAP_SECONDS + 2 * HEARTBEAT_SECONDS < LEASE_SECONDS
