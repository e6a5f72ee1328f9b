"""SET_STATE: what a participant says about its media is kept while it is on the stage, and shown by its replicas."""

import pytest
from msgspec.structs import replace

from stagebook.stage.events import Cause
from stagebook.stage.session.decision import Decision
from stagebook.stage.session.orders import Forward
from stagebook.stage.session.session_facts import (
    AttemptAnswered,
    MuteStateSet,
    ReplicaArrived,
    ReplicaMuteSet,
    ReplicaPaused,
    ReplicaResumed,
)
from stagebook.stage.session.session_state import UNMUTED, MuteState, shown_mute
from tests.stage.session.decided_session import (
    OTHER_STAGE,
    DecidedSession,
    changes_nothing,
    connected,
    ended,
    events,
    orders_of,
    publish,
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


def publish_kinds(session: DecidedSession, connection_id: str, *, audio: bool = True, video: bool = True) -> Decision:
    """Let P publish these kinds of media."""
    session.apply(publish("P", connection_id))
    answer = AttemptAnswered(participant_id="P", connection_id=connection_id, sends_audio=audio, sends_video=video)
    session.apply(answer)
    return session.apply(connected("P", connection_id))


class TestMissingKinds:
    @pytest.mark.parametrize(("audio", "video"), [(True, True), (True, False), (False, True)])
    def test_what_a_publication_does_not_send_is_shown_as_muted_or_stopped(
        self,
        audio: bool,  # noqa: FBT001 - pytest gives it by name
        video: bool,  # noqa: FBT001
    ) -> None:
        session = DecidedSession()
        publish_kinds(session, "pub", audio=audio, video=video)
        expected = MuteState(audio_muted=not audio, video_stopped=not video)
        assert shown_mute(session.participant("P")) == expected
        session.apply(said("P", audio_muted=False, video_stopped=False))
        assert shown_mute(session.participant("P")) == expected

    def test_what_a_participant_says_of_the_other_kind_is_shown(self) -> None:
        session = DecidedSession()
        publish_kinds(session, "pub", video=False)
        session.apply(said("P", audio_muted=True))
        assert shown_mute(session.participant("P")) == MuteState(audio_muted=True, video_stopped=True)

    def test_a_replacement_counts_once_it_is_connected_and_its_replicas_are_told(self) -> None:
        session = DecidedSession()
        publish_kinds(session, "audio", video=False)
        session.apply(replicate("P", "r"))
        session.apply(publish("P", "both"))
        session.apply(AttemptAnswered(participant_id="P", connection_id="both"))
        assert shown_mute(session.participant("P")).video_stopped
        (told,) = orders_of(session.apply(connected("P", "both")), Forward)
        assert told.fact == ReplicaMuteSet(participant_id="P", replication_id="r", mute=UNMUTED)
        assert shown_mute(session.participant("P")) == UNMUTED

    def test_replicas_are_not_told_what_makes_no_difference(self) -> None:
        session = DecidedSession()
        publish_kinds(session, "audio", video=False)
        session.apply(replicate("P", "r"))
        assert orders_of(session.apply(said("P", video_stopped=True)), Forward) == []
        assert orders_of(publish_kinds(session, "again", video=False), Forward) == []
