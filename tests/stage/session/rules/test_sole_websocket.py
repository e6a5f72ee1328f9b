"""One token, one connection: clients that have one events websocket at a time."""

import pytest
from msgspec.structs import replace

from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.session.decision import Decision
from stagebook.stage.session.orders import CancelAttempt, CloseConnection, CloseEvents, FarewellReason
from tests.stage.session.decided_session import DecidedSession, ended, event_names, events, orders_of, publish


def join(session: DecidedSession, connection_id: str) -> Decision:
    """Let the participant A open the events websocket of a client that has one at a time."""
    return session.apply(replace(events("A", connection_id), is_sole=True))


def closed(decision: Decision) -> list[tuple[str, FarewellReason | None]]:
    return [(order.connection_id, order.farewell) for order in orders_of(decision, CloseEvents)]


@pytest.fixture
def session() -> DecidedSession:
    """A publishes, and watches B. B watches A."""
    session = DecidedSession()
    session.open_events("B")
    session.publish("B")
    join(session, "first")
    session.publish("A")
    session.subscribe("A", "B")
    session.subscribe("B", "A")
    return session


class TestANewerWebsocket:
    def test_it_closes_the_former_one_and_leaves_media_alone(self, session: DecidedSession) -> None:
        decision = join(session, "second")
        assert closed(decision) == [("first", FarewellReason.TOKEN_REUSED)]
        assert decision.events == ()
        assert orders_of(decision, CloseConnection) == []
        assert list(session.machine("A").connections) == ["pub-A", "sub-A", "second"]

    def test_a_participant_without_other_connections_stays_on_the_stage(self) -> None:
        session = DecidedSession()
        join(session, "first")
        assert closed(join(session, "second")) == [("first", FarewellReason.TOKEN_REUSED)]
        assert session.names("A") == ["JOINED"]

    def test_one_that_was_lost_is_not_closed(self, session: DecidedSession) -> None:
        session.apply(ended("A", "first", Cause.PEER_LOST))
        decision = join(session, "second")
        assert (closed(decision), decision.events) == ([], ())

    @pytest.mark.parametrize("cause", [Cause.CLIENT, Cause.PEER_LOST])
    def test_the_late_end_of_the_former_one_changes_nothing(self, session: DecidedSession, cause: Cause) -> None:
        join(session, "second")
        before = session.session
        assert session.apply(ended("A", "first", cause)).session == before

    def test_one_that_is_refused_closes_nothing(self, session: DecidedSession) -> None:
        decision = session.apply(replace(events("A", "second", key_arn="another"), is_sole=True))
        assert decision.refusal is not None
        assert (decision.events, decision.orders) == ((), ())

    def test_the_former_one_does_not_count_in_the_quota(self) -> None:
        session = DecidedSession(limits=replace(RELAXED, connections_per_participant=2))
        join(session, "first")
        session.publish("A")
        assert session.open_events("A", "simple").refusal is not None
        assert join(session, "second").refusal is None
        session.apply(ended("A", "second", Cause.PEER_LOST))
        session.open_events("A", "simple")
        assert join(session, "third").refusal is not None


class TestTheEnd:
    def test_a_client_that_closes_it_has_left(self, session: DecidedSession) -> None:
        join(session, "second")
        session.apply(publish("A", "offer"))
        decision = session.apply(ended("A", "second", Cause.CLIENT))
        assert event_names(decision.events) == [
            "A PUBLISH_STOPPED",
            "A SUBSCRIBE_STOPPED",
            "A LEFT",
            "B SUBSCRIBE_STOPPED",
        ]
        assert {entry.event.cause for entry in decision.events[:3]} == {Cause.CLIENT}
        assert [order.connection_id for order in orders_of(decision, CancelAttempt)] == ["offer"]
        assert closed(decision) == [("second", None)]
        assert session.session.participants.get("A") is None

    @pytest.mark.parametrize("cause", [Cause.PEER_LOST, Cause.REFUSED])
    def test_a_client_that_loses_it_keeps_its_media(self, session: DecidedSession, cause: Cause) -> None:
        session.apply(publish("A", "offer"))
        decision = session.apply(ended("A", "first", cause))
        assert decision.events == ()
        assert list(session.machine("A").connections) == ["pub-A", "sub-A"]
        assert list(session.participant("A").attempts) == ["offer"]

    def test_the_websocket_of_another_client_keeps_the_participant(self, session: DecidedSession) -> None:
        session.open_events("A", "simple")
        decision = session.apply(ended("A", "first", Cause.CLIENT))
        assert event_names(decision.events) == ["A PUBLISH_STOPPED", "A SUBSCRIBE_STOPPED", "B SUBSCRIBE_STOPPED"]
        assert list(session.machine("A").connections) == ["simple"]
        assert session.participant("A").sole_events_id is None


def test_other_clients_have_several_websockets_and_keep_their_media() -> None:
    session = DecidedSession()
    for connection_id in ("one", "two"):
        assert closed(session.open_events("A", connection_id)) == []
    session.publish("A")
    assert session.apply(ended("A", "one", Cause.CLIENT)).events == ()
    assert list(session.machine("A").connections) == ["two", "pub-A"]
