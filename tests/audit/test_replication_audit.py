"""The two ends of a replication agree, and its row with them, as far as the book has both sessions."""

import pytest

from stagebook.audit.replication_audit import ReplicationAudit, SessionId
from stagebook.stage.resources import ParticipantRecord, Replica, ReplicationState
from tests.audit.histories import OTHER_ARN, event

SOURCE: SessionId = ("arn:aws:ivs:us-west-2:123456789012:stage/source000000", "st-source0000000")
DESTINATION: SessionId = (OTHER_ARN, "st-axxxxxxxxxxxx")
ROW = Replica(
    source_stage_arn=SOURCE[0],
    source_session_id=SOURCE[1],
    participant_id="p",
    destination_stage_arn=DESTINATION[0],
    destination_session_id=DESTINATION[1],
    state=ReplicationState.ACTIVE,
)
REPLICA = ParticipantRecord(participant_id="p", source_stage_arn=SOURCE[0], source_session_id=SOURCE[1])


def audit_of(source: list[str], destination: list[str]) -> ReplicationAudit:
    """Return the audit of the events of both ends."""
    audit = ReplicationAudit()
    for text in source:
        audit.add(SOURCE, "p", event(text))
    for text in destination:
        audit.add(DESTINATION, "p", event(text))
    audit.note_source(DESTINATION, REPLICA)
    return audit


def found(audit: ReplicationAudit, rows: list[Replica], known: set[SessionId]) -> list[str]:
    """Return what is wrong, given the rows in state ACTIVE and the sessions of the book."""
    violations = [*audit.end_violations(known.__contains__), *audit.row_violations(rows, known.__contains__)]
    assert {violation.rule for violation in violations} <= {"replication-ends"}
    return [violation.detail for violation in violations]


STARTED, STOPPED, JOINED, LEFT = "REPLICATION_STARTED a", "REPLICATION_STOPPED a", "!JOINED", "!LEFT"


@pytest.mark.parametrize(
    ("source", "destination", "rows"),
    [
        ([STARTED], [JOINED], [ROW]),
        ([STARTED, STOPPED], [JOINED, LEFT], []),
        ([STARTED, STOPPED, STARTED], [JOINED, LEFT, JOINED], [ROW]),
    ],
)
def test_two_ends_that_agree(source: list[str], destination: list[str], rows: list[Replica]) -> None:
    audit = audit_of(source, destination)
    assert found(audit, rows, {SOURCE, DESTINATION}) == []
    (row,) = audit.replicas({SOURCE, DESTINATION}.__contains__)
    assert [row] == rows or row.state is ReplicationState.STOPPED


@pytest.mark.parametrize(
    ("source", "destination", "rows", "detail"),
    [
        ([STARTED], [], [ROW], "a replication runs without its replica"),
        ([STARTED, STOPPED], [], [], "a replication has started without its replica"),
        ([STARTED, STOPPED], [JOINED], [], "a replica is on the stage without its replication"),
        ([], [JOINED], [], "a replica is on the stage without its replication"),
        ([STARTED], [JOINED], [], "a replication runs, and its row is not ACTIVE"),
        (
            [STARTED, STOPPED],
            [JOINED, LEFT],
            [ROW],
            "the row of a replication is ACTIVE, and the replication has stopped",
        ),
    ],
)
def test_two_ends_that_differ(source: list[str], destination: list[str], rows: list[Replica], detail: str) -> None:
    assert found(audit_of(source, destination), rows, {SOURCE, DESTINATION}) == [detail]


def test_a_row_without_events_is_wrong() -> None:
    assert found(ReplicationAudit(), [ROW], {SOURCE, DESTINATION}) == [
        "the row of a replication is ACTIVE, and no event started it"
    ]


@pytest.mark.parametrize("known", [{SOURCE}, {DESTINATION}])
def test_an_end_that_the_book_does_not_have_is_not_expected(known: set[SessionId]) -> None:
    source, destination = ([STARTED], []) if SOURCE in known else ([], [JOINED])
    audit = audit_of(source, destination)
    assert found(audit, [], known) == []
    assert list(audit.replicas(known.__contains__)) == []
