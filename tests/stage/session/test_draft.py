"""The draft of a decision: what follows for the session as a whole from the participants that changed."""

import pytest

from stagebook.stage.errors import AttemptRefusedError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.participant_facts import Accepted, Gone
from stagebook.stage.resources import Capability, ParticipantRecord, ParticipantState
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import (
    CancelTimer,
    EndSource,
    SetTimer,
    WriteParticipant,
    WriteSessionEnd,
    WriteSessionStart,
)
from stagebook.stage.session.session_facts import AttemptFailed, LingerElapsed
from stagebook.stage.session.session_phase import SessionPhase, SessionTurn
from stagebook.stage.session.session_state import SessionParticipant
from tests.stage.session.decided_session import (
    LINGER_MS,
    START,
    DecidedSession,
    claims,
    ended,
    events,
    orders_of,
    publish,
    replicate,
    subscribe,
)


def draft_of(session: DecidedSession) -> Draft:
    return Draft(session.session, session.context)


def newcomer(participant_id: str, arrival: int = 1) -> SessionParticipant:
    record = ParticipantRecord(participant_id=participant_id)
    return SessionParticipant(claims=claims(participant_id), record=record, arrival=arrival)


class TestParticipants:
    def test_a_participant_is_found_in_its_newest_state(self) -> None:
        session = DecidedSession()
        session.open_events("W")
        draft = draft_of(session)

        draft.record("W", Gone(connection_ids=("ws-W",), cause=Cause.CLIENT))

        assert draft.get("W").machine.connections == {}
        assert session.participant("W").machine.connections
        assert draft.find("unknown") is None
        with pytest.raises(KeyError):
            draft.get("unknown")

    def test_the_ids_are_in_order_of_arrival(self) -> None:
        session = DecidedSession()
        for participant_id in "CBA":
            session.open_events(participant_id)
        draft = draft_of(session)
        draft.put(newcomer("D", arrival=4))

        assert draft.participant_ids() == ["C", "B", "A", "D"]

    def test_several_facts_are_one_action(self) -> None:
        draft = draft_of(DecidedSession())
        draft.put(newcomer("W"))

        draft.record("W", Accepted(connection_id="ws", kind="events"), Gone(connection_ids=("ws",), cause=Cause.CLIENT))

        assert [entry.event.name.value for entry in draft.events] == ["JOINED", "LEFT"]

    def test_the_first_join_has_the_time_of_the_decision(self) -> None:
        session = DecidedSession()
        session.open_events("W")

        assert session.participant("W").record.first_join_ms == START.wall_ms


class TestSources:
    def test_all_users_of_a_publisher_share_one_source(self) -> None:
        draft = draft_of(DecidedSession())

        first = draft.lease_source("P", user_id="one", participant_id="P", fresh_id="source-1")
        second = draft.lease_source("P", user_id="two", participant_id="P", fresh_id="source-2")

        assert first == second == "source-1"

    def test_a_source_ends_with_its_last_user(self) -> None:
        draft = draft_of(DecidedSession())
        for user_id in ("one", "two"):
            draft.lease_source("P", user_id=user_id, participant_id="P", fresh_id="source")

        assert not draft.release_source("P", user_id="one", detail="reason")
        assert draft.orders == []
        assert draft.release_source("P", user_id="two", detail="reason")
        assert draft.orders == [EndSource(source_id="source", detail="reason")]
        assert "P" not in draft.sources

    def test_releasing_a_source_twice_changes_nothing(self) -> None:
        draft = draft_of(DecidedSession())
        draft.lease_source("P", user_id="one", participant_id="P", fresh_id="source")

        assert not draft.release_source("P", user_id="another", detail="")
        assert not draft.release_source("Q", user_id="one", detail="")
        assert draft.orders == []


class TestRows:
    def test_the_row_of_a_participant_comes_before_other_orders_and_after_the_session_start(self) -> None:
        session = DecidedSession()

        decision = session.apply(events("W", "ws"))

        start, row, *_ = decision.orders
        assert start == WriteSessionStart(start_ms=START.wall_ms)
        assert isinstance(row, WriteParticipant)
        assert row.record.state is ParticipantState.CONNECTED

    def test_a_row_that_did_not_change_is_not_written_again(self) -> None:
        session = DecidedSession()
        session.open_events("W", capabilities=frozenset())

        decision = session.apply(publish("W", "offer", capabilities=frozenset()))

        assert len(decision.events) == 1
        assert orders_of(decision, WriteParticipant) == []

    def test_a_participant_without_an_event_is_not_written(self) -> None:
        session = DecidedSession()

        decision = session.apply(publish("P", "offer"))

        assert orders_of(decision, WriteParticipant) == []
        assert not session.participant("P").is_written

    def test_a_refused_participant_has_a_row_and_the_session_forgets_it(self) -> None:
        session = DecidedSession()

        decision = session.apply(publish("P", "offer", capabilities=frozenset({Capability.SUBSCRIBE})))

        (row,) = orders_of(decision, WriteParticipant)
        assert row.record.state is ParticipantState.DISCONNECTED
        assert len(session.session.participants) == 0
        assert session.session.has_departed

    def test_the_row_of_a_known_participant_follows_the_token_of_a_failed_offer(self) -> None:
        session = DecidedSession()
        session.open_events("P", user_id="ada")
        known = session.participant("P").record
        session.apply(ended("P", "ws-P"))
        session.apply(publish("P", "offer", known=known, user_id="grace"))

        failed = AttemptFailed(participant_id="P", connection_id="offer", code=ErrorCode.INVALID_VIDEO_CODEC)
        decision = session.apply(failed)

        assert [order.record.user_id for order in orders_of(decision, WriteParticipant)] == ["grace"]


class TestUsage:
    def test_the_counters_follow_connections_and_offers(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P", connect=False)
        session.apply(subscribe("W", "offer", "P"))

        usage = session.session.usage

        assert (usage.present, usage.arriving, usage.publishers, usage.subscribers) == (2, 1, 1, 2)

    def test_a_participant_that_left_counts_nothing_and_is_forgotten(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(ended("P", "pub-P"))

        assert session.session.usage == type(session.session.usage)()
        assert len(session.session.participants) == 0
        assert session.session.has_departed


class TestPhases:
    def test_an_offer_in_progress_does_not_open_the_session(self) -> None:
        session = DecidedSession()

        decision = session.apply(publish("P", "offer"))

        assert decision.session.phase is SessionPhase.UNOPENED
        assert orders_of(decision, WriteSessionStart) == []

    def test_the_first_participant_opens_the_session(self) -> None:
        session = DecidedSession()

        decision = session.apply(events("W", "ws"))

        assert (decision.session.phase, decision.session.start_ms) == (SessionPhase.OPEN, START.wall_ms)
        assert orders_of(decision, SetTimer) == []

    def test_the_session_lingers_when_the_last_participant_left(self) -> None:
        session = DecidedSession()
        session.open_events("A")
        session.open_events("B")
        session.apply(ended("A", "ws-A"))
        assert session.session.phase is SessionPhase.OPEN

        decision = session.apply(ended("B", "ws-B"))

        assert (decision.session.phase, decision.session.empty_since) == (SessionPhase.LINGERING, START)
        (timer,) = orders_of(decision, SetTimer)
        assert (timer.due_ms, timer.fact) == (START.monotonic_ms + LINGER_MS, LingerElapsed())
        assert timer.key == f"linger:{session.session.stage_arn}"

    def test_an_arrival_within_the_linger_continues_the_session(self) -> None:
        session = DecidedSession()
        session.open_events("A")
        session.apply(ended("A", "ws-A"))
        session.advance(400)

        decision = session.apply(events("A", "again"))

        assert (decision.session.phase, decision.session.empty_since) == (SessionPhase.OPEN, None)
        assert orders_of(decision, CancelTimer) == [CancelTimer(key=f"linger:{session.session.stage_arn}")]
        assert orders_of(decision, WriteSessionStart) == []

    def test_the_session_stays_open_while_a_publisher_is_awaited(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))

        decision = session.apply(ended("P", "pub-P"))

        assert decision.session.phase is SessionPhase.OPEN
        assert decision.session.usage.awaited == 1
        assert not [order for order in orders_of(decision, SetTimer) if order.key.startswith("linger:")]

    def test_a_refused_attempt_opens_a_session_that_lingers_at_once(self) -> None:
        session = DecidedSession()

        decision = session.apply(publish("P", "offer", capabilities=frozenset()))

        assert isinstance(decision.refusal, AttemptRefusedError)
        assert decision.session.phase is SessionPhase.LINGERING
        assert orders_of(decision, WriteSessionStart) == [WriteSessionStart(start_ms=START.wall_ms)]

    def test_a_refused_attempt_while_the_session_lingers_restarts_the_linger(self) -> None:
        session = DecidedSession()
        session.open_events("A")
        session.apply(ended("A", "ws-A"))
        session.advance(300)

        decision = session.apply(publish("P", "offer", capabilities=frozenset()))

        (timer,) = orders_of(decision, SetTimer)
        assert timer.due_ms == START.monotonic_ms + 300 + LINGER_MS
        assert decision.session.empty_since == session.at

    def test_a_refused_attempt_while_a_participant_is_present_does_not_change_the_phase(self) -> None:
        session = DecidedSession()
        session.open_events("A")

        decision = session.apply(publish("P", "offer", capabilities=frozenset()))

        assert (decision.session.phase, decision.session.empty_since) == (SessionPhase.OPEN, None)
        assert orders_of(decision, SetTimer) == []
        assert orders_of(decision, CancelTimer) == []

    def test_closing_cancels_the_linger_and_writes_the_end_last(self) -> None:
        session = DecidedSession()
        session.open_events("A")
        session.apply(ended("A", "ws-A"))
        draft = draft_of(session)
        draft.close(SessionTurn.CLOSED, end_ms=START.wall_ms + 7)

        decision = draft.finish()

        assert decision.session.phase is SessionPhase.ENDED
        assert decision.orders == (
            CancelTimer(key=f"linger:{session.session.stage_arn}"),
            WriteSessionEnd(end_ms=START.wall_ms + 7),
        )
