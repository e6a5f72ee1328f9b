"""`decide` itself: each fact has a rule, and a fact about something that does not exist changes nothing."""

import typing

import pytest

from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.session import session_facts as facts
from stagebook.stage.session.decide import RULES, decide
from stagebook.stage.session.orders import OpenRoute, WriteParticipant, WriteSessionStart
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import MuteState
from stagebook.stage.source_limits import Measurement
from tests.stage.session.decided_session import (
    DecidedSession,
    changes_nothing,
    event_names,
    events,
)

SEEN = Measurement(bitrate_bps=1, width=None, height=None)
ABOUT_NOTHING: list[SessionFact] = [
    facts.AttemptAnswered(participant_id="nobody", connection_id="unknown"),
    facts.AttemptAnswered(participant_id="W", connection_id="unknown"),
    facts.AttemptFailed(participant_id="nobody", connection_id="unknown", code=ErrorCode.INVALID_VIDEO_CODEC),
    facts.AttemptFailed(participant_id="W", connection_id="ws-W", code=ErrorCode.INVALID_VIDEO_CODEC),
    facts.TransportConnected(participant_id="nobody", connection_id="unknown"),
    facts.TransportConnected(participant_id="W", connection_id="unknown"),
    facts.TransportConnected(participant_id="W", connection_id="ws-W"),
    facts.ConnectionEnded(participant_id="nobody", connection_id="unknown", cause=Cause.CLIENT),
    facts.ConnectionEnded(participant_id="W", connection_id="unknown", cause=Cause.CLIENT),
    facts.ConnectionFailed(participant_id="nobody", connection_id="unknown", code=ErrorCode.INVALID_INPUT),
    facts.ConnectionFailed(participant_id="W", connection_id="ws-W", code=ErrorCode.INVALID_INPUT),
    facts.SourceReported(
        participant_id="nobody",
        connection_id="unknown",
        measurement=Measurement(bitrate_bps=1, width=None, height=None),
    ),
    facts.DurationElapsed(participant_id="nobody", connection_id="unknown"),
    facts.DurationElapsed(participant_id="W", connection_id="ws-W"),
    facts.LingerElapsed(),
    facts.WindowElapsed(participant_id="W", replication_id="unknown"),
    facts.WindowElapsed(participant_id="nobody", replication_id="unknown"),
    facts.ParticipantsDisconnected(participant_ids=(), cause=Cause.DISCONNECTED_BY_API),
    facts.ParticipantsDisconnected(participant_ids=("nobody",), cause=Cause.DISCONNECTED_BY_API),
    facts.ReplicaPaused(participant_id="W", replication_id="unknown", cause=Cause.CLIENT),
    facts.ReplicaResumed(participant_id="W", replication_id="unknown", source_id="source"),
    facts.ReplicaMuteSet(participant_id="W", replication_id="unknown", mute=MuteState(audio_muted=True)),
    facts.MuteStateSet(participant_id="nobody", audio_muted=True),
    facts.ReplicaEnded(participant_id="W", replication_id="unknown", cause=Cause.CLIENT),
    facts.ReplicationEnded(participant_id="W", replication_id="unknown", cause=Cause.CLIENT),
]


def test_each_fact_has_a_rule() -> None:
    assert set(RULES) == set(typing.get_args(SessionFact))


@pytest.mark.parametrize("fact", ABOUT_NOTHING, ids=lambda fact: type(fact).__name__)
def test_a_fact_about_something_that_does_not_exist_changes_nothing(fact: SessionFact) -> None:
    session = DecidedSession()
    session.open_events("W")

    assert changes_nothing(session, fact)


@pytest.mark.parametrize("fact", ABOUT_NOTHING, ids=lambda fact: type(fact).__name__)
def test_a_fact_about_something_that_does_not_exist_does_not_open_a_session(fact: SessionFact) -> None:
    assert changes_nothing(DecidedSession(), fact)


def test_the_same_session_and_fact_give_the_same_decision() -> None:
    session = DecidedSession()
    session.open_events("W")
    fact = events("V", "ws-V")

    assert decide(session.session, fact, session.context) == decide(session.session, fact, session.context)


def test_the_decision_has_events_then_rows_then_the_other_orders() -> None:
    session = DecidedSession()

    decision = session.apply(events("W", "ws"))

    assert event_names(decision.events) == ["W JOINED"]
    assert [type(order) for order in decision.orders] == [WriteSessionStart, WriteParticipant, OpenRoute]
    assert decision.refusal is None


def test_a_refusal_without_an_event_leaves_the_session_as_it_was() -> None:
    session = DecidedSession()
    session.open_events("W", key_arn="key")
    before = session.session

    decision = session.apply(events("W", "second", user_id="another"))

    assert decision.refusal is not None
    assert (decision.session, decision.events, decision.orders) == (before, (), ())
