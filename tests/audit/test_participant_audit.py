"""The audit of one participant names the rule and the event, and derives the row."""

import pytest

from stagebook.audit.participant_audit import ParticipantAudit, row_faults
from stagebook.stage.participant.event_replay import replay
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import (
    ParticipantRecord,
    ParticipantState,
    RecordingState,
    ReplicationState,
    ReplicationType,
)
from tests.audit.histories import audited, event, timed
from tests.book.sample import SESSION

SOUND = [
    *("JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED a", "SUBSCRIBE_STARTED bob", "SUBSCRIBE_STARTED bob"),
    *("PUBLISH_ERROR INVALID_INPUT", "SUBSCRIBE_STOPPED bob", "PUBLISH_STOPPED", "PUBLISH_STARTED"),
    *("SUBSCRIBE_STOPPED bob", "PUBLISH_STOPPED", "LEFT", "REPLICATION_STOPPED a", "JOIN_ERROR QUOTA_EXCEEDED"),
    *("JOINED", "20/TOKEN_EXCHANGED SUBSCRIBE", "SUBSCRIBE_STARTED bob", "SUBSCRIBE_STOPPED bob", "LEFT"),
]


def test_a_sound_history_breaks_no_rule() -> None:
    faults, audit = audited(SOUND)
    assert faults == []
    assert not audit.is_open
    assert list(audit.close()) == []


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        (["LEFT"], "presence at 0"),
        (["JOINED", "JOINED"], "presence at 1"),
        (["JOINED", "LEFT", "LEFT"], "presence at 2"),
        (["PUBLISH_STARTED"], "on-stage at 0"),
        (["JOINED", "LEFT", "TOKEN_EXCHANGED PUBLISH"], "on-stage at 2"),
        (["JOINED", "PUBLISH_STARTED", "LEFT"], "stopped-before-left at 2"),
        (["JOINED", "SUBSCRIBE_STARTED bob", "LEFT"], "stopped-before-left at 2"),
        (["JOINED", "PUBLISH_STARTED", "PUBLISH_STARTED"], "publication at 2"),
        (["JOINED", "PUBLISH_STOPPED"], "publication at 1"),
        (["JOINED", "SUBSCRIBE_STARTED bob", "SUBSCRIBE_STOPPED eve"], "subscription at 2"),
        (["JOINED", "REPLICATION_STARTED a"], "replication at 1"),
        (["JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED a", "REPLICATION_STARTED a"], "replication at 3"),
        (["JOINED", "REPLICATION_STOPPED a"], "replication at 1"),
        (["JOINED", "PUBLISH_STARTED", "5/TOKEN_EXCHANGED SUBSCRIBE", "6/PUBLISH_STOPPED"], "capabilities at 2"),
        (["JOINED", "TOKEN_EXCHANGED SUBSCRIBE", "PUBLISH_STARTED"], "capabilities at 2"),
        (["!JOINED", "PUBLISH_STARTED"], "replica-mark at 1"),
        (["JOINED", "!PUBLISH_STARTED"], "replica-mark at 1"),
        (["!JOINED", "SUBSCRIBE_STARTED bob"], "replica-mark at 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_event(events: list[str], fault: str) -> None:
    assert audited(events)[0] == [fault]


def test_what_a_token_no_longer_allows_may_stop_at_the_same_time() -> None:
    events = ["JOINED", "PUBLISH_STARTED", "5/TOKEN_EXCHANGED SUBSCRIBE", "5/PUBLISH_STOPPED", "LEFT"]
    assert audited(events)[0] == []


def test_an_ended_session_leaves_nothing_open() -> None:
    _, audit = audited(["JOINED", "PUBLISH_STARTED", "SUBSCRIBE_STARTED bob", "SUBSCRIBE_STARTED bob"])
    assert [detail for _, detail in audit.close()] == [
        "JOINED without its end",
        "PUBLISH_STARTED without its end",
        "SUBSCRIBE_STARTED of bob without its end, 2 times",
    ]


def test_what_is_open_is_what_recovery_replays() -> None:
    """The two derive the same from a history: what is flowing after each prefix."""
    events = [each for each, _ in timed(SOUND)]
    for end in range(1, len(events) + 1):
        audit = audited(SOUND[:end])[1]
        machine = replay(events[:end])
        media = [each.kind for each in machine.connections.values() if each.kind is not ConnectionKind.EVENTS]
        counted = sum(
            count
            for (name, _), count in audit.open_starts.items()
            if name.value in ("PUBLISH_STARTED", "SUBSCRIBE_STARTED")
        )
        assert counted == len(media)
        assert audit.is_open == bool(machine.connections or machine.replications)


def test_the_row_is_what_the_server_derives() -> None:
    _, audit = audited(SOUND)
    assert audit.record == ParticipantRecord(
        participant_id="p",
        user_id="anna",
        attributes={"seat": "2"},
        first_join_ms=1,
        published=True,
        replication_type=ReplicationType.SOURCE,
        replication_state=ReplicationState.STOPPED,
    )


def test_a_participant_that_was_a_replica_is_independent_when_it_comes_itself() -> None:
    _, audit = audited(["!JOINED"])
    assert audit.record.replication_type is ReplicationType.REPLICA
    _, audit = audited(["!JOINED", "!LEFT", "JOIN_ERROR QUOTA_EXCEEDED"])
    assert audit.record.replication_type is ReplicationType.NONE


def test_each_member_of_a_row_is_compared() -> None:
    row = ParticipantRecord(participant_id="p", state=ParticipantState.CONNECTED, published=True, first_join_ms=7)
    found = [detail for _, detail in row_faults(row, ParticipantRecord(participant_id="p"))]
    assert found == [
        "state is CONNECTED, its events say DISCONNECTED",
        "published is True, its events say False",
        "firstJoinTime is 7, its events say None",
    ]


# Ties.


@pytest.mark.parametrize(
    "events",
    [
        ["5/PUBLISH_STARTED", "5/JOINED", "9/LEFT", "9/PUBLISH_STOPPED"],
        ["5/SUBSCRIBE_STOPPED bob", "5/SUBSCRIBE_STARTED bob", "5/JOINED"],
        ["1/JOINED", "1/PUBLISH_STARTED", "5/PUBLISH_STARTED", "5/PUBLISH_STOPPED"],
        ["1/JOINED", "1/PUBLISH_STARTED", "5/JOINED", "5/PUBLISH_STARTED", "5/LEFT", "5/PUBLISH_STOPPED"],
        ["5/LEFT", "5/PUBLISH_STOPPED", "5/PUBLISH_STARTED", "5/JOINED"],
        ["5/LEFT", "5/JOINED", "5/JOINED", "9/LEFT"],
        ["5/REPLICATION_STOPPED a", "5/REPLICATION_STARTED a", "5/PUBLISH_STOPPED", "5/PUBLISH_STARTED", "5/JOINED"],
        ["1/JOINED", "1/PUBLISH_STARTED", "5/PUBLISH_STOPPED", "5/REPLICATION_STARTED a", "6/REPLICATION_STOPPED a"],
    ],
)
def test_events_of_one_time_without_causes_may_be_in_any_order(events: list[str]) -> None:
    assert audited(events, cause=None)[0] == []
    assert audited(events)[0] != [], "with causes, the order is that of Stagebook"


@pytest.mark.parametrize(
    "events",
    [
        ["5/LEFT"],
        ["5/JOINED", "5/JOINED"],
        ["5/PUBLISH_STARTED", "5/PUBLISH_STARTED", "5/JOINED"],
        ["5/PUBLISH_STARTED", "6/JOINED"],
        ["1/JOINED", "1/PUBLISH_STARTED", "5/LEFT", "6/PUBLISH_STOPPED"],
        ["5/JOINED", "5/LEFT", "5/SUBSCRIBE_STARTED bob"],
    ],
)
def test_a_tie_that_no_order_explains_breaks_a_rule(events: list[str]) -> None:
    assert audited(events, cause=None)[0] != []


def test_the_row_follows_the_order_that_explains_a_tie() -> None:
    _, audit = audited(["5/LEFT", "5/JOINED"], cause=None)
    assert audit.record.state is ParticipantState.DISCONNECTED


def test_many_events_of_one_time_take_time_in_proportion() -> None:
    audit = ParticipantAudit(ParticipantRecord(participant_id="p"), session_id=SESSION)
    started, stopped = event("SUBSCRIBE_STARTED b", cause=None), event("SUBSCRIBE_STOPPED b", cause=None)
    audit.add(event("JOINED", cause=None), 1, 0)
    faults = [audit.add(each, 1, 0) for each in [stopped] * 20_000 + [started] * 20_000]
    assert [*(fault for found in faults for fault in found), *audit.settle()] == []


@pytest.mark.parametrize(
    ("texts", "broken"),
    [
        (["JOINED", "RECORDING_STARTED a", "LEFT", "RECORDING_ENDED a"], []),
        (["JOINED", "LEFT", "RECORDING_START_FAILED a"], []),
        (["JOINED", "RECORDING_STARTED a", "RECORDING_STARTED b", "RECORDING_END_FAILED a", "RECORDING_ENDED b"], []),
        (["JOINED", "RECORDING_ENDED a@st-another000000"], []),
        (["JOINED", "RECORDING_ENDED a"], ["recordings at 1"]),
        (["JOINED", "RECORDING_STARTED a", "RECORDING_STARTED a"], ["recordings at 2"]),
        (["JOINED", "RECORDING_STARTED a", "RECORDING_START_FAILED a"], ["recordings at 2"]),
        (["RECORDING_STARTED a", "RECORDING_ENDED a", "RECORDING_END_FAILED a"], ["recordings at 2"]),
    ],
)
def test_a_recording_has_one_outcome_after_its_start(texts: list[str], broken: list[str]) -> None:
    assert audited(texts)[0] == broken


@pytest.mark.parametrize(
    ("texts", "state"),
    [
        (["JOINED", "RECORDING_STARTED a", "RECORDING_ENDED a"], RecordingState.STOPPED),
        (["JOINED", "RECORDING_START_FAILED a"], RecordingState.FAILED),
        (["JOINED", "RECORDING_STARTED a"], RecordingState.STOPPED),
        (["JOINED"], RecordingState.DISABLED),
    ],
)
def test_an_import_shows_the_outcome_of_the_newest_recording(texts: list[str], state: RecordingState) -> None:
    _, audit = audited(texts)
    assert audit.record.recording_state is state
