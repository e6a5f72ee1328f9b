"""SET_STATE: what a participant says about its media is kept while it is on the stage, and shown by its replicas."""

import pytest
from msgspec.structs import replace

from stagebook.stage.events import Cause
from stagebook.stage.session.orders import Forward
from stagebook.stage.session.session_facts import (
    MuteStateSet,
    ReplicaArrived,
    ReplicaMuteSet,
    ReplicaPaused,
    ReplicaResumed,
)
from stagebook.stage.session.session_state import UNMUTED, MuteState
from tests.stage.session.decided_session import (
    OTHER_STAGE,
    DecidedSession,
    changes_nothing,
    ended,
    events,
    orders_of,
    replica_arrives,
    replicate,
)

MUTED = MuteState(audio_muted=True)


def said(participant_id: str, *, audio_muted: bool | None = None, video_stopped: bool | None = None) -> MuteStateSet:
    return MuteStateSet(participant_id=participant_id, audio_muted=audio_muted, video_stopped=video_stopped)


@pytest.fixture
def session() -> DecidedSession:
    session = DecidedSession()
    session.open_events("W")
    return session


def mute_of(session: DecidedSession, participant_id: str) -> MuteState:
    participant = session.session.participants.get(participant_id)
    assert participant is not None
    return participant.mute


def test_a_participant_that_has_said_nothing_is_unmuted(session: DecidedSession) -> None:
    assert mute_of(session, "W") == UNMUTED


def test_a_change_names_the_participant_and_makes_no_event_and_no_row(session: DecidedSession) -> None:
    decision = session.apply(said("W", audio_muted=True, video_stopped=False))
    assert mute_of(session, "W") == MUTED
    assert set(decision.changed_ids) == {"W"}
    assert (decision.events, decision.orders) == ((), ())


def test_a_part_that_is_not_said_stays_as_it_is(session: DecidedSession) -> None:
    session.apply(said("W", audio_muted=True))
    session.apply(said("W", video_stopped=True))
    assert mute_of(session, "W") == MuteState(audio_muted=True, video_stopped=True)
    session.apply(said("W", audio_muted=False))
    assert mute_of(session, "W") == MuteState(video_stopped=True)


@pytest.mark.parametrize(
    "again", [said("W"), said("W", audio_muted=True), said("W", audio_muted=True, video_stopped=False)]
)
def test_the_present_state_changes_nothing(session: DecidedSession, again: MuteStateSet) -> None:
    session.apply(said("W", audio_muted=True))
    assert changes_nothing(session, again)
    assert not session.apply(again).changed_ids


def test_a_participant_that_comes_back_is_unmuted(session: DecidedSession) -> None:
    session.open_events("V")
    session.apply(said("W", audio_muted=True))
    session.apply(ended("W", "ws-W"))
    session.apply(events("W", "another"))
    assert mute_of(session, "W") == UNMUTED


def test_a_second_connection_keeps_the_state(session: DecidedSession) -> None:
    session.apply(said("W", audio_muted=True))
    session.apply(events("W", "second"))
    session.apply(ended("W", "ws-W"))
    assert mute_of(session, "W") == MUTED


def test_a_replica_cannot_set_the_state_of_its_publisher(session: DecidedSession) -> None:
    session.apply(replica_arrives())
    assert changes_nothing(session, said("R", audio_muted=True))


def test_a_replica_is_told_the_state_of_its_publisher_when_it_arrives_changes_and_comes_back() -> None:
    session = DecidedSession()
    session.open_events("P")
    session.publish("P")
    session.apply(said("P", audio_muted=True))
    (arrival,) = orders_of(session.apply(replicate("P", "r", window_seconds=30)), Forward)
    assert isinstance(arrival.fact, ReplicaArrived)
    assert arrival.fact.mute == MUTED

    (change,) = orders_of(session.apply(said("P", video_stopped=True)), Forward)
    both = MuteState(audio_muted=True, video_stopped=True)
    assert change == Forward(
        stage_arn=OTHER_STAGE, fact=ReplicaMuteSet(participant_id="P", replication_id="r", mute=both)
    )

    session.apply(ended("P", "pub-P", Cause.PEER_LOST))
    session.apply(ended("P", "ws-P"))
    (resumption,) = orders_of(session.publish("P", "again"), Forward)
    assert isinstance(resumption.fact, ReplicaResumed)
    assert resumption.fact.mute == UNMUTED


def test_a_replica_shows_the_state_that_it_is_told() -> None:
    session = DecidedSession()
    session.apply(replace(replica_arrives(), mute=MUTED))
    assert mute_of(session, "R") == MUTED
    replication_id = session.machine("R").replica_id
    assert replication_id is not None
    told = ReplicaMuteSet(participant_id="R", replication_id=replication_id, mute=UNMUTED)
    assert set(session.apply(told).changed_ids) == {"R"}
    assert mute_of(session, "R") == UNMUTED
    assert changes_nothing(session, told)
    session.apply(ReplicaPaused(participant_id="R", replication_id=replication_id, cause=Cause.PEER_LOST))
    session.apply(ReplicaResumed(participant_id="R", replication_id=replication_id, source_id="another", mute=MUTED))
    assert mute_of(session, "R") == MUTED
