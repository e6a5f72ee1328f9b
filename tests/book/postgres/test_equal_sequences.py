"""Accounts of two nodes have events with the same sequence numbers: readers of all events miss none."""

import pytest

from stagebook.book.changes import PutStage
from stagebook.book.composition_log import LogEntry
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.tables.table_event_log import TableEventLog
from tests.book.postgres.group_writer import GroupWriter
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    OTHER_SESSION,
    append,
    append_composition,
    composition,
    open_session,
    put,
    put_composition,
    put_stage,
    stage,
)

OTHER_ACCOUNT = "210987654321"
OTHER_STAGE, OTHER_COMPOSITION = (text.replace(ACCOUNT, OTHER_ACCOUNT) for text in (ARN, COMPOSITION_ARN))
PER_ACCOUNT = 4


@pytest.fixture
def log(connection: PostgresConnection) -> TableEventLog:
    """The log of a book in which two nodes have written at the same time."""
    GroupWriter(connection, sequence_slots=1).write(
        [put_stage(), open_session(), put("p"), put_composition(), append("p"), append("p")],
        [append_composition(), append_composition()],
    )
    other = composition(OTHER_COMPOSITION, stage_arn=OTHER_STAGE, account_id=OTHER_ACCOUNT)
    GroupWriter(connection, sequence_slots=1).write(
        [
            PutStage(stage=stage(OTHER_STAGE, account_id=OTHER_ACCOUNT)),
            open_session(OTHER_SESSION, arn=OTHER_STAGE),
            put("p", arn=OTHER_STAGE, session_id=OTHER_SESSION),
            put_composition(other),
        ],
        [append("p", arn=OTHER_STAGE, session_id=OTHER_SESSION)] * 2,
        [append_composition(arn=OTHER_COMPOSITION), append_composition(arn=OTHER_COMPOSITION)],
    )
    return TableEventLog(connection)


def read_all(log: TableEventLog, limit: int) -> list[LogEntry]:
    entries: list[LogEntry] = []
    while page := log.read_entries_after(entries[-1].sequence if entries else 0, limit=limit):
        entries += page
    return entries


def read_all_backwards(log: TableEventLog, limit: int) -> list[LogEntry]:
    entries: list[LogEntry] = []
    while page := log.read_entries_before(entries[-1].sequence if entries else 1 << 62, limit=limit):
        entries += page
    return entries


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_the_log_have_every_event_once(log: TableEventLog, limit: int) -> None:
    for entries in (read_all(log, limit), read_all_backwards(log, limit)[::-1]):
        ids = [each.event_id for each in entries]
        assert len(set(ids)) == len(ids) == 2 * PER_ACCOUNT
        sequences = [each.sequence for each in entries]
        assert sequences == sorted(sequences)
        assert len(set(sequences)) == PER_ACCOUNT


def test_an_account_has_one_event_with_a_number(log: TableEventLog) -> None:
    sequences = sorted({each.sequence for each in read_all(log, 100)})
    for account_id in (ACCOUNT, OTHER_ACCOUNT):
        entries = log.read_entries_at(sequences, account_id=account_id)
        assert [each.sequence for each in entries] == sequences
        assert {each.account_id for each in entries} == {account_id}
