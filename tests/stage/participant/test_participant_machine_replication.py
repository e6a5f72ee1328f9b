"""The participant machine for replications and replicas: the events of each fact, their order, and illegal facts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.stage.events import Cause, ErrorCode, ReplicationDestination
from stagebook.stage.participant.event_replay import replay
from stagebook.stage.participant.participant_facts import (
    Accepted,
    Cut,
    MediaConnected,
    ParticipantFact,
    Paused,
    Replicated,
)
from stagebook.stage.participant.participant_machine import IllegalFactError, step
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.participant.record_projection import record_after
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, ReplicationState, ReplicationType
from tests.stage.participant.participant_steps import apply_facts, apply_legal_facts, gone, names

THERE = ReplicationDestination(stage_arn="there", session_id="st-there")
ELSEWHERE = ReplicationDestination(stage_arn="elsewhere", session_id="st-elsewhere")
PUBLISH = (Accepted(connection_id="pub", kind="publish"), MediaConnected(connection_id="pub"))
TO_THERE = Replicated(replication_id="r1", destination=THERE)
TO_ELSEWHERE = Replicated(replication_id="r2", destination=ELSEWHERE)
REPLICA = Participant(is_replica=True)
SHOW = (Accepted(connection_id="rep", kind="replica"), MediaConnected(connection_id="rep"))
PAUSE = Paused(connection_id="rep", cause=Cause.PEER_LOST)


def test_a_replication_ends_after_the_publication_and_before_leaving() -> None:
    _, events = apply_facts(*PUBLISH, TO_THERE, gone("pub", replications=("r1",)))

    assert names(events)[2:] == ["REPLICATION_STARTED", "PUBLISH_STOPPED", "REPLICATION_STOPPED", "LEFT"]
    assert events[2].destination == events[4].destination == THERE


def test_a_cut_publication_ends_its_replications() -> None:
    cut = Cut(connection_id="pub", code=ErrorCode.BITRATE_EXCEEDED, replication_ids=("r1", "r2"))
    participant, events = apply_facts(*PUBLISH, TO_THERE, TO_ELSEWHERE, cut)

    assert names(events)[4:] == [
        "PUBLISH_ERROR",
        "PUBLISH_STOPPED",
        "REPLICATION_STOPPED",
        "REPLICATION_STOPPED",
        "LEFT",
    ]
    assert [event.error_code for event in events[5:]] == [None] * 4
    assert not participant.replications


def test_a_replication_can_outlive_the_presence_of_its_publisher() -> None:
    participant, _ = apply_facts(*PUBLISH, TO_THERE, gone("pub"))
    assert participant.is_awaited

    ended, events = apply_facts(gone(replications=("r1",)), participant=participant)

    assert names(events) == ["REPLICATION_STOPPED"]
    assert not ended.is_awaited


def test_a_replica_publishes_pauses_publishes_again_and_leaves() -> None:
    _, events = apply_facts(*SHOW, PAUSE, MediaConnected(connection_id="rep"), gone("rep"), participant=REPLICA)

    started, stopped = "PUBLISH_STARTED", "PUBLISH_STOPPED"
    assert names(events) == ["JOINED", started, stopped, started, stopped, "LEFT"]
    assert all(event.replica for event in events)


def test_a_paused_replica_is_present_and_leaves_without_a_second_stop() -> None:
    paused, _ = apply_facts(*SHOW, PAUSE, participant=REPLICA)
    assert not paused.is_publishing
    assert paused.replica_id == "rep"

    _, events = apply_facts(gone("rep"), participant=paused)

    assert names(events) == ["LEFT"]


ILLEGAL: list[tuple[Participant, tuple[ParticipantFact, ...], ParticipantFact]] = [
    (Participant(), (), SHOW[0]),
    (REPLICA, (), PUBLISH[0]),
    (REPLICA, (), Accepted(connection_id="ws", kind="events")),
    (REPLICA, SHOW, Accepted(connection_id="rep2", kind="replica")),
    (REPLICA, SHOW[:1], PAUSE),
    (REPLICA, (*SHOW, PAUSE), PAUSE),
    (REPLICA, SHOW, Cut(connection_id="rep", code=ErrorCode.BITRATE_EXCEEDED)),
    (Participant(), PUBLISH, Paused(connection_id="pub", cause=Cause.CLIENT)),
    (Participant(), PUBLISH[:1], TO_THERE),
    (REPLICA, SHOW, TO_THERE),
    (Participant(), (*PUBLISH, TO_THERE), TO_THERE),
    (Participant(), PUBLISH, gone(replications=("r1",))),
    (Participant(), (*PUBLISH, TO_THERE), gone("pub", replications=("r1", "r1"))),
]


@pytest.mark.parametrize(("participant", "before", "fact"), ILLEGAL)
def test_an_illegal_fact_raises_and_changes_nothing(
    participant: Participant, before: tuple[ParticipantFact, ...], fact: ParticipantFact
) -> None:
    participant, _ = apply_facts(*before, participant=participant)
    connections, replications = dict(participant.connections), dict(participant.replications)

    with pytest.raises(IllegalFactError):
        step(participant, fact)

    assert (participant.connections, participant.replications) == (connections, replications)


def row_after(record: ParticipantRecord, participant: Participant, *facts: ParticipantFact) -> ParticipantRecord:
    after, events = apply_facts(*facts, participant=participant)
    return record_after(
        record, events, at_ms=1, protocol=ParticipantProtocol.WHIP, is_replicated=bool(after.replications)
    )


@pytest.mark.parametrize(
    ("ends", "state"),
    [((), ReplicationState.ACTIVE), (("r1",), ReplicationState.ACTIVE), (("r1", "r2"), ReplicationState.STOPPED)],
)
def test_the_row_of_a_source_is_active_while_one_of_its_replications_runs(
    ends: tuple[str, ...], state: ReplicationState
) -> None:
    facts = (*PUBLISH, TO_THERE, TO_ELSEWHERE, gone(replications=ends))

    row = row_after(ParticipantRecord(participant_id="P"), Participant(), *facts)

    assert (row.replication_type, row.replication_state) == (ReplicationType.SOURCE, state)


def test_the_row_of_a_replica_is_active_while_it_is_on_its_stage() -> None:
    record = ParticipantRecord(participant_id="P", replication_type=ReplicationType.REPLICA)

    shown = row_after(record, REPLICA, *SHOW, PAUSE)
    left = row_after(record, REPLICA, *SHOW, gone("rep"))

    assert shown.replication_state is ReplicationState.ACTIVE
    assert left.replication_state is ReplicationState.STOPPED


FACTS = st.one_of(
    st.sampled_from([*PUBLISH, TO_THERE, TO_ELSEWHERE, *SHOW, PAUSE, gone("pub"), gone("rep")]),
    st.sampled_from([gone("pub", replications=("r1",)), gone(replications=("r2",)), gone(replications=("r1", "r2"))]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=25), st.booleans())
def test_a_replayed_participant_ends_with_the_same_stops_as_the_original(
    facts: list[ParticipantFact],
    is_replica: bool,  # noqa: FBT001 - drawn
) -> None:
    participant, events = apply_legal_facts(facts, participant=Participant(is_replica=is_replica))
    replayed = replay(events)

    closing = step(replayed, gone(*replayed.connections, replications=tuple(replayed.replications))).events
    owed = step(participant, gone(*participant.connections, replications=tuple(participant.replications))).events

    assert [(event.name, event.replica, event.destination) for event in closing] == [
        (event.name, event.replica, event.destination) for event in owed
    ]
    assert replayed.is_awaited == participant.is_awaited
    whole = [*events, *owed]
    for started, stopped in (("JOINED", "LEFT"), ("PUBLISH_STARTED", "PUBLISH_STOPPED")):
        assert names(whole).count(started) == names(whole).count(stopped)
    assert names(whole).count("REPLICATION_STARTED") == names(whole).count("REPLICATION_STOPPED")
    assert all(event.replica is is_replica for event in whole)
