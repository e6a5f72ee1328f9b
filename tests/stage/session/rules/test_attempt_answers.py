"""The answers of engines to offers: joined, failed, and what can have changed in between."""

import pytest

from stagebook.stage.errors import AttemptRefusedError, ServerBusyError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.transitions import ConnectionState
from stagebook.stage.resources import Capability
from stagebook.stage.session.orders import (
    CloseConnection,
    CloseRoute,
    EndSource,
)
from stagebook.stage.session.session_facts import AttemptFailed
from tests.stage.session.decided_session import (
    PUBLISHED,
    DecidedSession,
    changes_nothing,
    ended,
    event_names,
    orders_of,
    publish,
    subscribe,
)

NOTHING_ALLOWED = frozenset[Capability]()


def code_of(refusal: object) -> ErrorCode:
    assert isinstance(refusal, AttemptRefusedError)
    return refusal.code


def failed(participant_id: str, connection_id: str, code: ErrorCode | None) -> AttemptFailed:
    return AttemptFailed(participant_id=participant_id, connection_id=connection_id, code=code, detail="scripted")


class TestAttemptAnswered:
    def test_the_participant_joins_when_the_engine_has_answered(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.answer("P", "one")

        assert event_names(decision.events) == ["P JOINED"]
        assert session.participant("P").attempts == {}
        assert session.machine("P").connections["one"].state is ConnectionState.OPENING

    def test_a_subscription_is_listed_with_its_publisher(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P", "one")

        assert dict(session.session.viewers["P"].items()) == {"one": "V"}

    def test_the_answer_to_a_cancelled_attempt_is_ignored(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))
        session.apply(failed("P", "one", None))

        decision = session.answer("P", "one")

        assert (decision.events, decision.orders, decision.refusal) == ((), (), None)

    def test_an_answer_is_counted_once(self) -> None:
        session = DecidedSession()
        session.publish("P", "one", connect=False)

        decision = session.answer("P", "one")

        assert (decision.events, decision.orders, decision.refusal) == ((), (), None)

    def test_a_connection_that_was_lost_before_the_answer_is_refused_without_an_event(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))
        session.apply(ended("P", "one"))

        decision = session.answer("P", "one")

        assert isinstance(decision.refusal, ServerBusyError)
        assert decision.events == ()
        assert decision.orders == (
            EndSource(source_id="source-one"),
            CloseRoute(connection_id="one"),
            CloseConnection(connection_id="one"),
        )
        assert len(session.session.participants) == 0

    def test_a_publisher_that_stopped_in_between_is_not_found(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(subscribe("V", "one", "P"))
        session.apply(ended("P", "pub-P"))

        decision = session.answer("V", "one")

        assert event_names(decision.events) == ["V SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND"]
        assert CloseConnection(connection_id="one") in decision.orders

    def test_a_publisher_that_stopped_and_publishes_again_is_not_the_one_that_was_asked_for(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(subscribe("V", "one", "P"))
        session.apply(ended("P", "pub-P"))
        session.publish("P", "again")

        assert code_of(session.answer("V", "one").refusal) is ErrorCode.PUBLISHER_NOT_FOUND

    def test_a_second_publication_waits_until_it_connects(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.apply(publish("P", "two"))

        decision = session.answer("P", "two")

        assert decision.events == ()
        assert (session.machine("P").publication_id, session.machine("P").replacement_id) == ("one", "two")

    def test_a_third_publication_ends_the_second_without_an_event(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.publish("P", "two", connect=False)
        session.apply(publish("P", "three"))

        decision = session.answer("P", "three")

        assert decision.events == ()
        assert decision.orders[:2] == (CloseRoute(connection_id="two"), CloseConnection(connection_id="two"))
        assert session.machine("P").replacement_id == "three"
        assert set(session.session.sources["P"].users) == {"one", "three"}

    def test_each_arrival_takes_its_token_from_its_own_offer(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one", user_id="first"))
        session.apply(publish("P", "two", user_id="second"))

        session.answer("P", "two")

        assert session.participant("P").record.user_id == "second"


class TestAttemptFailed:
    def test_an_error_code_is_recorded_and_returned(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.apply(failed("P", "one", ErrorCode.INVALID_VIDEO_CODEC))

        assert event_names(decision.events) == ["P PUBLISH_ERROR:INVALID_VIDEO_CODEC"]
        assert code_of(decision.refusal) is ErrorCode.INVALID_VIDEO_CODEC
        assert orders_of(decision, EndSource) == [EndSource(source_id="source-one")]
        assert orders_of(decision, CloseRoute) == [CloseRoute(connection_id="one")]

    def test_the_error_of_a_subscription_names_its_publisher(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(subscribe("V", "one", "P"))

        decision = session.apply(failed("V", "one", ErrorCode.PUBLISHER_NOT_FOUND))

        assert event_names(decision.events) == ["V SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND"]
        assert decision.events[0].event.remote_participant_id == "P"
        assert orders_of(decision, EndSource) == []

    @pytest.mark.parametrize(
        ("code", "cause"),
        [
            (ErrorCode.INVALID_VIDEO_CODEC, Cause.REFUSED),
            (ErrorCode.INTERNAL_SERVER_EXCEPTION, Cause.ENGINE_LOST),
        ],
    )
    def test_the_cause_distinguishes_a_lost_engine_from_a_refusal(self, code: ErrorCode, cause: Cause) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        assert session.apply(failed("P", "one", code)).events[0].event.cause is cause

    def test_without_a_code_nothing_is_recorded(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.apply(failed("P", "one", None))

        assert (decision.events, decision.refusal) == ((), None)
        assert len(session.session.participants) == 0
        assert len(session.session.sources) == 0

    def test_the_publication_that_runs_keeps_its_source(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.apply(publish("P", "two"))

        decision = session.apply(failed("P", "two", None))

        assert orders_of(decision, EndSource) == []
        assert session.names("P") == PUBLISHED

    def test_an_attempt_fails_once(self) -> None:
        session = DecidedSession()
        session.open_events("P")
        session.apply(publish("P", "one"))
        session.apply(failed("P", "one", ErrorCode.INVALID_VIDEO_CODEC))

        assert changes_nothing(session, failed("P", "one", ErrorCode.INVALID_VIDEO_CODEC))
