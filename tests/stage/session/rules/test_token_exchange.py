"""Token exchange: which tokens can follow which, what ends, and what is recorded."""

import pytest
from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.errors import ConnectionNotFoundError, ExchangeRefusedError
from stagebook.stage.events import Cause, ExchangedToken
from stagebook.stage.resources import Capability
from stagebook.stage.session.orders import CloseConnection, EndSource, Forward
from stagebook.stage.session.session_facts import ReplicaEnded, TokenExchangeRequested
from tests.stage.session.decided_session import (
    OTHER_STAGE,
    DecidedSession,
    changes_nothing,
    claims,
    connected,
    ended,
    event_names,
    orders_of,
    publish,
    replicate,
    subscribe,
)

OWN = claims("A", key_arn="key")


def to(new: Claims) -> TokenExchangeRequested:
    return TokenExchangeRequested(participant_id="A", claims=new)


def only(*capabilities: Capability) -> TokenExchangeRequested:
    return to(replace(OWN, capabilities=frozenset(capabilities)))


def publishing() -> DecidedSession:
    """A publishes with a self-signed token; V watches it."""
    session = DecidedSession()
    session.apply(publish("A", "pub", key_arn="key"))
    session.answer("A", "pub")
    session.apply(connected("A", "pub"))
    session.subscribe("V", "A")
    return session


def present() -> DecidedSession:
    session = DecidedSession()
    session.open_events("A", key_arn="key")
    return session


def test_the_event_has_both_tokens_and_the_participant_has_the_new_one() -> None:
    session = present()
    new = replace(OWN, user_id="grace", attributes={"role": "host"}, capabilities=frozenset({Capability.SUBSCRIBE}))

    decision = session.apply(to(new))

    (entry,) = decision.events
    assert entry.event.cause is Cause.CLIENT
    assert entry.event.exchange is not None
    assert entry.event.exchange.previous == ExchangedToken(
        capabilities=("PUBLISH", "SUBSCRIBE"), attributes={}, user_id="user-A", expiration_ms=1_700_003_600_000
    )
    assert entry.event.exchange.new == ExchangedToken(
        capabilities=("SUBSCRIBE",), attributes={"role": "host"}, user_id="grace", expiration_ms=1_700_003_600_000
    )
    participant = session.participant("A")
    assert (participant.claims, participant.former_claims) == (new, (OWN,))
    assert (participant.record.user_id, participant.record.attributes) == ("grace", {"role": "host"})


def test_an_equal_token_changes_nothing() -> None:
    assert changes_nothing(present(), to(OWN))


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (replace(OWN, key_arn=None), "an imported key"),
        (replace(OWN, stage_arn=OTHER_STAGE), "resource and topic"),
        (replace(OWN, participant_id="B"), "jti"),
    ],
    ids=["minted", "another stage", "another participant"],
)
def test_a_token_that_cannot_follow_is_refused(new: Claims, reason: str) -> None:
    session = present()
    before = session.session

    decision = session.apply(to(new))

    assert isinstance(decision.refusal, ExchangeRefusedError)
    assert reason in str(decision.refusal)
    assert (decision.session, decision.events) == (before, ())


def test_a_minted_token_is_not_exchanged() -> None:
    session = DecidedSession()
    session.open_events("A")

    assert isinstance(session.apply(to(OWN)).refusal, ExchangeRefusedError)


def test_a_participant_that_is_not_on_the_stage_has_no_connection_to_exchange_by() -> None:
    session = DecidedSession()
    assert isinstance(session.apply(to(OWN)).refusal, ConnectionNotFoundError)

    session.apply(publish("A", "offer", key_arn="key"))

    assert isinstance(session.apply(only()).refusal, ConnectionNotFoundError)


def test_losing_publish_ends_the_publication_and_then_its_viewers() -> None:
    session = publishing()

    decision = session.apply(only(Capability.SUBSCRIBE))

    assert event_names(decision.events) == [
        "A TOKEN_EXCHANGED",
        "A PUBLISH_STOPPED",
        "A LEFT",
        "V SUBSCRIBE_STOPPED",
        "V LEFT",
    ]
    assert [entry.event.cause for entry in decision.events] == [
        Cause.CLIENT,
        Cause.TOKEN_EXCHANGED,
        Cause.TOKEN_EXCHANGED,
        Cause.PUBLISHER_STOPPED,
        Cause.PUBLISHER_STOPPED,
    ]
    assert orders_of(decision, EndSource) == [EndSource(source_id="source-pub")]


def test_losing_publish_ends_a_replacement_too() -> None:
    session = publishing()
    session.open_events("A", key_arn="key")
    session.apply(publish("A", "second", key_arn="key"))
    session.answer("A", "second")

    session.apply(only(Capability.SUBSCRIBE))

    assert list(session.machine("A").connections) == ["ws-A"]
    assert len(session.session.sources) == 0


def test_losing_subscribe_ends_the_subscriptions_of_the_participant() -> None:
    session = publishing()
    session.publish("P")
    session.apply(subscribe("A", "sub", "P", key_arn="key"))
    session.answer("A", "sub")
    session.apply(connected("A", "sub"))

    decision = session.apply(only(Capability.PUBLISH))

    assert event_names(decision.events) == ["A TOKEN_EXCHANGED", "A SUBSCRIBE_STOPPED"]
    assert orders_of(decision, CloseConnection) == [CloseConnection(connection_id="sub", as_failure=True)]
    assert session.machine("A").is_publishing


def test_losing_publish_ends_replications_without_a_window_in_the_same_decision() -> None:
    session = publishing()
    session.apply(replicate("A"))

    decision = session.apply(only())

    assert event_names(decision.events)[:4] == [
        "A TOKEN_EXCHANGED",
        "A PUBLISH_STOPPED",
        "A REPLICATION_STOPPED",
        "A LEFT",
    ]
    ended_there = ReplicaEnded(participant_id="A", replication_id="r", cause=Cause.TOKEN_EXCHANGED)
    assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=ended_there)]


def test_offers_in_progress_are_judged_by_the_new_token_when_they_are_answered() -> None:
    session = present()
    session.apply(publish("A", "offer", key_arn="key"))
    session.apply(only(Capability.SUBSCRIBE))

    decision = session.answer("A", "offer")

    assert event_names(decision.events) == ["A PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES"]
    session.apply(ended("A", "ws-A"))
    assert len(session.session.participants) == 0
