"""The running sessions in memory: which are kept, what an account uses, and the routes of connection tokens."""

import msgspec
import pytest

from stagebook.manager.session.session_registry import LiveSession, LiveTotals, Route, SessionRegistry
from stagebook.stage.events import Cause
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.session.session_facts import SessionClosed
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.session.session_state import Session
from tests.stage.session.decided_session import ACCOUNT, STAGE, DecidedSession, ended, publish


@pytest.fixture
def registry() -> SessionRegistry:
    return SessionRegistry()


def busy(stage_arn: str = STAGE, account_id: str = ACCOUNT) -> Session:
    """A session with one publisher and one subscriber."""
    session = DecidedSession()
    session.publish("P")
    session.subscribe("V", "P")
    return msgspec.structs.replace(session.session, stage_arn=stage_arn, account_id=account_id)


def test_a_session_is_found_by_its_stage(registry: SessionRegistry) -> None:
    session = busy()
    registry.install(session)

    assert registry.sessions == {STAGE: session}


def test_a_lingering_session_is_kept_and_an_ended_one_is_removed(registry: SessionRegistry) -> None:
    session = DecidedSession()
    session.open_events("W")
    session.apply(ended("W", "ws-W"))
    registry.install(session.session)
    assert STAGE in registry.sessions

    session.apply(SessionClosed(cause=Cause.STAGE_DELETED))
    registry.install(session.session)
    assert registry.sessions == {}


def test_an_unopened_session_is_kept_while_an_offer_is_in_progress(registry: SessionRegistry) -> None:
    session = DecidedSession()
    unused = session.session
    session.apply(publish("P", "offer"))

    registry.install(session.session)
    assert STAGE in registry.sessions

    registry.install(unused)
    assert registry.sessions == {}


def test_an_account_uses_what_all_of_its_stages_use(registry: SessionRegistry) -> None:
    registry.install(busy("one"))
    registry.install(busy("two"))
    registry.install(busy("three", account_id="another"))

    assert registry.account_usage(ACCOUNT) == (2, 2)
    assert registry.account_usage("another") == (1, 1)
    assert registry.account_usage("unknown") == (0, 0)


def test_a_replaced_session_counts_once_and_an_ended_one_not_at_all(registry: SessionRegistry) -> None:
    session = DecidedSession()
    session.publish("P")
    registry.install(session.session)
    session.publish("Q")
    registry.install(session.session)
    assert registry.account_usage(ACCOUNT) == (2, 0)

    session.apply(SessionClosed(cause=Cause.STAGE_DELETED))
    registry.install(session.session)
    assert registry.account_usage(ACCOUNT) == (0, 0)


def test_the_totals_are_those_of_all_accounts_and_end_with_the_sessions(registry: SessionRegistry) -> None:
    ending = DecidedSession()
    ending.publish("P")
    ending.open_events("W")
    registry.install(ending.session)
    registry.install(busy("two", account_id="another"))
    assert registry.totals() == LiveTotals(sessions=2, participants=4, publishers=2, subscriptions=1)

    ending.apply(SessionClosed(cause=Cause.STAGE_DELETED))
    registry.install(ending.session)
    assert registry.totals() == LiveTotals(sessions=1, participants=2, publishers=1, subscriptions=1)


def test_the_routes_of_a_connection_token_are_those_of_its_account(registry: SessionRegistry) -> None:
    registry.install(busy("here"))
    registry.install(busy("there", account_id="another"))
    for number, (stage_arn, token_id) in enumerate(
        [("here", "one"), ("here", "two"), ("here", None), ("there", "one"), ("unknown", "one")]
    ):
        route = Route(
            stage_arn=stage_arn, participant_id="P", kind=ConnectionKind.PUBLISH, connection_token_id=token_id
        )
        registry.open_route(f"connection-{number}", route)

    assert list(registry.connected_through(ACCOUNT, "one")) == [registry.routes["connection-0"]]
    assert list(registry.connected_through(ACCOUNT, "three")) == []
    for connection_id in tuple(registry.routes):
        registry.close_route(connection_id)
    assert list(registry.connected_through(ACCOUNT, "one")) == []
    assert registry._by_token == {}


def test_what_is_live_on_a_stage_is_known_once_its_session_is_open(registry: SessionRegistry) -> None:
    assert registry.live_session(STAGE) is None
    session = busy()
    registry.install(msgspec.structs.replace(session, phase=SessionPhase.UNOPENED))
    assert registry.live_session(STAGE) is None
    registry.install(session)
    assert registry.live_session(STAGE) == LiveSession(
        session_id=session.session_id, start_ms=session.start_ms, participants=2, publishers=1, subscriptions=1
    )
