"""How the API, the shutdown and the linger end participants and sessions."""

import pytest

from stagebook.stage.clock import Instant
from stagebook.stage.errors import ServerBusyError, StagebookError, TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.session.orders import (
    CancelAttempt,
    CancelTimer,
    CloseEvents,
    CloseRoute,
    EndSource,
    FarewellReason,
    Forward,
    SetTimer,
    WriteSessionEnd,
)
from stagebook.stage.session.session_facts import (
    LingerElapsed,
    ParticipantsDisconnected,
    ReplicaEnded,
    SessionClosed,
)
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.session.session_state import NO_USAGE
from tests.stage.session.decided_session import (
    LINGER_MS,
    OTHER_STAGE,
    PUBLISHED,
    START,
    DecidedSession,
    changes_nothing,
    ended,
    event_names,
    orders_of,
    publish,
    replicate,
)

DISCONNECTED = [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]


def disconnect(*participant_ids: str, cause: Cause = Cause.DISCONNECTED_BY_API) -> ParticipantsDisconnected:
    return ParticipantsDisconnected(participant_ids=participant_ids, cause=cause, detail="enough")


class TestParticipantsDisconnected:
    def test_all_connections_of_the_participant_end_together(self) -> None:
        session = DecidedSession()
        session.open_events("P")
        session.publish("P")
        session.subscribe("P", "P")

        decision = session.apply(disconnect("P"))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P SUBSCRIBE_STOPPED", "P LEFT"]
        assert {entry.event.cause for entry in decision.events} == {Cause.DISCONNECTED_BY_API}
        assert {entry.event.detail for entry in decision.events} == {"enough"}
        assert orders_of(decision, CloseEvents) == [
            CloseEvents(connection_id="ws-P", farewell=FarewellReason.DISCONNECTED, detail="enough")
        ]
        assert orders_of(decision, EndSource)[0].detail == "PARTICIPANT_DISCONNECTED: enough"

    def test_the_subscriptions_of_its_viewers_end_after_it(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")

        decision = session.apply(disconnect("P"))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P LEFT", "V SUBSCRIBE_STOPPED", "V LEFT"]
        assert decision.events[-1].event.cause is Cause.PUBLISHER_STOPPED

    def test_offers_in_progress_are_cancelled_without_an_event(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.apply(disconnect("P"))

        (cancelled,) = orders_of(decision, CancelAttempt)
        assert isinstance(cancelled.error, TokenRefusedError)
        assert cancelled.error.refusal is TokenRefusal.PARTICIPANT_DISCONNECTED
        assert orders_of(decision, CloseRoute) == [CloseRoute(connection_id="one")]
        assert orders_of(decision, EndSource) == [EndSource(source_id="source-one")]
        assert decision.events == ()
        assert len(session.session.participants) == 0

    def test_the_replications_of_an_awaited_publisher_end(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))
        assert session.session.usage.awaited == 1

        decision = session.apply(disconnect("P"))

        assert event_names(decision.events) == ["P REPLICATION_STOPPED"]
        assert session.session.usage == NO_USAGE

    def test_several_participants_leave_in_the_given_order(self) -> None:
        session = DecidedSession()
        for participant_id in "ABC":
            session.open_events(participant_id)

        decision = session.apply(disconnect("C", "A"))

        assert event_names(decision.events) == ["C LEFT", "A LEFT"]

    def test_a_participant_that_is_not_on_the_stage_changes_nothing(self) -> None:
        session = DecidedSession()
        session.open_events("W")

        assert changes_nothing(session, disconnect("P"))

    @pytest.mark.parametrize(
        ("cause", "error"),
        [
            (Cause.STAGE_DELETED, TokenRefusal.STAGE_DELETED),
            (Cause.CONNECTION_TOKEN_REVOKED, TokenRefusal.CONNECTION_TOKEN),
            (Cause.DISCONNECTED_BY_API, TokenRefusal.PARTICIPANT_DISCONNECTED),
            (Cause.SHUTDOWN, ServerBusyError),
        ],
    )
    def test_the_client_of_a_cancelled_offer_gets_the_cause(
        self, cause: Cause, error: TokenRefusal | type[StagebookError]
    ) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        (cancelled,) = orders_of(session.apply(disconnect("P", cause=cause)), CancelAttempt)

        if isinstance(cancelled.error, TokenRefusedError):
            assert cancelled.error.refusal is error
        else:
            assert type(cancelled.error) is error


class TestSessionClosed:
    def test_all_participants_leave_in_order_of_arrival_for_the_same_cause(self) -> None:
        session = DecidedSession()
        session.open_events("W")
        session.publish("P")
        session.subscribe("V", "P")

        decision = session.apply(SessionClosed(cause=Cause.STAGE_DELETED))

        assert event_names(decision.events) == [
            "W LEFT",
            "P PUBLISH_STOPPED",
            "P LEFT",
            "V SUBSCRIBE_STOPPED",
            "V LEFT",
        ]
        assert {entry.event.cause for entry in decision.events} == {Cause.STAGE_DELETED}

    def test_the_session_ends_now_and_holds_nothing(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")
        session.apply(publish("Q", "offer"))
        session.advance(5_000)

        decision = session.apply(SessionClosed(cause=Cause.SHUTDOWN))

        after = decision.session
        assert after.phase is SessionPhase.ENDED
        assert after.usage == NO_USAGE
        assert (len(after.participants), len(after.viewers), len(after.sources)) == (0, 0, 0)
        assert decision.orders[-1] == WriteSessionEnd(end_ms=START.wall_ms + 5_000)

    def test_replications_end_and_are_forwarded(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))

        decision = session.apply(SessionClosed(cause=Cause.STAGE_DELETED))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P REPLICATION_STOPPED", "P LEFT"]
        assert orders_of(decision, Forward) == [
            Forward(
                stage_arn=OTHER_STAGE,
                fact=ReplicaEnded(participant_id="P", replication_id="r", cause=Cause.STAGE_DELETED),
            )
        ]

    def test_a_session_that_never_opened_ends_without_a_row(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "offer"))

        decision = session.apply(SessionClosed(cause=Cause.SHUTDOWN))

        assert decision.session.phase is SessionPhase.ENDED
        assert orders_of(decision, WriteSessionEnd) == []
        assert len(orders_of(decision, CancelAttempt)) == 1

    def test_a_lingering_session_ends_now(self) -> None:
        session = DecidedSession()
        session.open_events("W")
        session.apply(ended("W", "ws-W"))
        session.advance(100)

        decision = session.apply(SessionClosed(cause=Cause.STAGE_DELETED))

        assert orders_of(decision, WriteSessionEnd) == [WriteSessionEnd(end_ms=START.wall_ms + 100)]
        assert [order.key for order in orders_of(decision, CancelTimer)] == [f"linger:{session.session.stage_arn}"]

    def test_the_end_is_never_before_the_start(self) -> None:
        session = DecidedSession()
        session.open_events("W")
        session.at = Instant(wall_ms=START.wall_ms - 1, monotonic_ms=START.monotonic_ms + 1)

        decision = session.apply(SessionClosed(cause=Cause.SHUTDOWN))

        assert orders_of(decision, WriteSessionEnd) == [WriteSessionEnd(end_ms=START.wall_ms)]


class TestLingerElapsed:
    @staticmethod
    def lingering() -> DecidedSession:
        """A session whose only participant has left."""
        session = DecidedSession()
        session.open_events("W")
        session.apply(ended("W", "ws-W"))
        return session

    def test_the_session_ends_when_the_linger_was_over_however_late_the_timer_is(self) -> None:
        session = self.lingering()
        session.advance(60_000)

        decision = session.apply(LingerElapsed())

        assert decision.session.phase is SessionPhase.ENDED
        assert orders_of(decision, WriteSessionEnd) == [WriteSessionEnd(end_ms=START.wall_ms + LINGER_MS)]

    def test_the_end_is_not_in_the_future_of_the_event_clock(self) -> None:
        session = self.lingering()
        # The event clock runs at half speed after the wall clock was set back.
        session.at = Instant(wall_ms=START.wall_ms + 500, monotonic_ms=START.monotonic_ms + LINGER_MS)

        decision = session.apply(LingerElapsed())

        assert orders_of(decision, WriteSessionEnd) == [WriteSessionEnd(end_ms=START.wall_ms + 500)]

    def test_an_offer_in_progress_keeps_the_session_open(self) -> None:
        session = self.lingering()
        session.apply(publish("P", "offer"))
        session.advance(LINGER_MS)

        decision = session.apply(LingerElapsed())

        assert decision.session.phase is SessionPhase.LINGERING
        (timer,) = orders_of(decision, SetTimer)
        assert timer.due_ms == session.at.monotonic_ms + LINGER_MS
        assert timer.fact == LingerElapsed()

    def test_an_open_session_does_not_end(self) -> None:
        session = self.lingering()
        session.open_events("W")

        assert changes_nothing(session, LingerElapsed())

    def test_an_ended_session_does_not_end_again(self) -> None:
        session = self.lingering()
        session.apply(SessionClosed(cause=Cause.STAGE_DELETED))

        assert changes_nothing(session, LingerElapsed())
