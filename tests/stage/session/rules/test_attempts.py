"""How participants come onto a stage: each request and its refusals."""

import pytest
from msgspec.structs import replace

from stagebook.stage.errors import AttemptRefusedError, TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.limits import RELAXED
from stagebook.stage.participant.transitions import ConnectionKind, ConnectionState
from stagebook.stage.resources import Capability, ParticipantState
from stagebook.stage.session.orders import (
    AskEngine,
    OpenRoute,
)
from stagebook.stage.session.session_facts import AttemptRefused, SessionFact
from tests.stage.session.decided_session import (
    CLIENT,
    DecidedSession,
    changes_nothing,
    claims,
    connected,
    encode,
    ended,
    event_names,
    events,
    orders_of,
    publish,
    replica_arrives,
    replicate,
    stream_claims,
    subscribe,
)

NOTHING_ALLOWED = frozenset[Capability]()


def code_of(refusal: object) -> ErrorCode:
    assert isinstance(refusal, AttemptRefusedError)
    return refusal.code


class TestPublishRequested:
    def test_an_offer_reserves_a_place_and_asks_the_engine(self) -> None:
        session = DecidedSession()

        decision = session.apply(publish("P", "one", connection_token_id="token"))

        assert decision.orders == (
            OpenRoute(
                connection_id="one",
                participant_id="P",
                kind=ConnectionKind.PUBLISH,
                connection_token_id="token",
            ),
            AskEngine(connection_id="one", source_id="source-one"),
        )
        assert decision.events == ()
        assert list(session.participant("P").attempts) == ["one"]

    def test_a_publisher_that_publishes_already_is_asked_for_with_its_source(self) -> None:
        session = DecidedSession()
        session.publish("P")

        decision = session.apply(publish("P", "second"))

        assert orders_of(decision, AskEngine) == [AskEngine(connection_id="second", source_id="source-pub-P")]

    def test_two_offers_at_once_share_one_source(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.apply(publish("P", "two"))

        assert orders_of(decision, AskEngine) == [AskEngine(connection_id="two", source_id="source-one")]

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            ({"publishers_per_stage": 0}, "P PUBLISH_ERROR:QUOTA_EXCEEDED"),
            ({"publishers_per_account": 0}, "P PUBLISH_ERROR:QUOTA_EXCEEDED"),
            ({"participants_per_stage": 0}, "P JOIN_ERROR:QUOTA_EXCEEDED"),
        ],
    )
    def test_a_reached_quota_refuses_with_its_event(self, limits: dict[str, int], expected: str) -> None:
        session = DecidedSession(limits=replace(RELAXED, **limits))

        decision = session.apply(publish("P", "one"))

        assert event_names(decision.events) == [expected]
        assert code_of(decision.refusal) is ErrorCode.QUOTA_EXCEEDED
        assert orders_of(decision, AskEngine) == []

    def test_the_capability_is_checked_before_the_quotas(self) -> None:
        session = DecidedSession(limits=replace(RELAXED, participants_per_stage=0))

        decision = session.apply(publish("P", "one", capabilities=NOTHING_ALLOWED))

        assert event_names(decision.events) == ["P PUBLISH_ERROR:INSUFFICIENT_CAPABILITIES"]
        assert str(decision.refusal) == "the token lacks the capability PUBLISH"

    def test_a_participant_that_is_present_stays_present_after_a_refusal(self) -> None:
        session = DecidedSession()
        session.open_events("P")

        session.apply(publish("P", "one", capabilities=frozenset({Capability.SUBSCRIBE})))

        assert session.names("P") == ["JOINED", "PUBLISH_ERROR"]
        assert session.participant("P").record.state is ParticipantState.CONNECTED

    def test_another_token_with_the_same_jti_is_refused_without_an_event(self) -> None:
        session = DecidedSession()
        session.open_events("P", key_arn="key")

        decision = session.apply(publish("P", "one", key_arn="key", user_id="another"))

        assert isinstance(decision.refusal, TokenRefusedError)
        assert decision.refusal.refusal is TokenRefusal.JTI_IN_USE
        assert (decision.events, decision.orders) == ((), ())


@pytest.mark.parametrize(
    "fact",
    [publish("R", "one"), subscribe("R", "one", "P"), events("R", "one"), encode("R", "one")],
    ids=["publish", "subscribe", "events", "encoder"],
)
def test_the_id_of_a_replica_on_the_stage_is_taken(fact: SessionFact) -> None:
    session = DecidedSession()
    session.apply(replica_arrives("R"))
    session.publish("P")
    before = session.session

    decision = session.apply(fact)

    if isinstance(decision.refusal, AttemptRefusedError):  # an encoder retries: its refusal is recorded
        assert decision.refusal.code is ErrorCode.REUSE_OF_STREAM_KEY
    else:
        assert isinstance(decision.refusal, TokenRefusedError)
        assert decision.refusal.refusal is TokenRefusal.PARTICIPANT_REPLICATED
        assert (decision.session, decision.events) == (before, ())


class TestSubscribeRequested:
    def test_an_offer_asks_the_engine_for_the_publisher_s_source(self) -> None:
        session = DecidedSession()
        session.publish("P")

        decision = session.apply(subscribe("V", "one", "P"))

        assert [type(order) for order in decision.orders] == [OpenRoute, AskEngine]
        assert orders_of(decision, AskEngine) == [AskEngine(connection_id="one", source_id="source-pub-P")]

    def test_a_publication_that_is_opening_can_be_watched(self) -> None:
        session = DecidedSession()
        session.publish("P", connect=False)

        assert session.apply(subscribe("V", "one", "P")).refusal is None

    def test_a_replica_is_watched_by_its_publisher_s_source(self) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R"))

        decision = session.apply(subscribe("V", "one", "R"))

        assert orders_of(decision, AskEngine) == [AskEngine(connection_id="one", source_id="remote-source")]

    @pytest.mark.parametrize("publisher_id", ["nobody", "W", "X", "Offering", "Awaited"])
    def test_a_participant_that_does_not_publish_is_not_found(self, publisher_id: str) -> None:
        session = DecidedSession()
        session.open_events("W")
        session.encode("X", feeds="V")
        session.apply(publish("Offering", "offer"))
        session.publish("Awaited")
        session.apply(replicate("Awaited", window_seconds=30))
        session.apply(ended("Awaited", "pub-Awaited"))

        decision = session.apply(subscribe("A", "one", publisher_id))

        assert event_names(decision.events) == ["A SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND"]
        assert decision.events[0].event.remote_participant_id == publisher_id
        assert code_of(decision.refusal) is ErrorCode.PUBLISHER_NOT_FOUND

    def test_a_refused_subscription_names_the_publisher_but_a_refused_join_does_not(self) -> None:
        session = DecidedSession(limits=replace(RELAXED, participants_per_stage=1, subscribers_per_stage=0))
        session.publish("P")

        present = session.apply(subscribe("P", "one", "P"))
        new = session.apply(subscribe("V", "two", "P"))

        assert event_names(present.events) == ["P SUBSCRIBE_ERROR:QUOTA_EXCEEDED"]
        assert present.events[0].event.remote_participant_id == "P"
        assert event_names(new.events) == ["V JOIN_ERROR:QUOTA_EXCEEDED"]
        assert new.events[0].event.remote_participant_id is None

    def test_the_capability_to_subscribe_is_needed(self) -> None:
        session = DecidedSession()
        session.publish("P")

        decision = session.apply(subscribe("V", "one", "P", capabilities=frozenset({Capability.PUBLISH})))

        assert event_names(decision.events) == ["V SUBSCRIBE_ERROR:INSUFFICIENT_CAPABILITIES"]


class TestEventsRequested:
    def test_a_websocket_joins_at_once_and_needs_no_capability(self) -> None:
        session = DecidedSession()

        decision = session.apply(events("W", "ws", capabilities=NOTHING_ALLOWED))

        assert event_names(decision.events) == ["W JOINED"]
        assert orders_of(decision, OpenRoute) == [
            OpenRoute(connection_id="ws", participant_id="W", kind=ConnectionKind.EVENTS)
        ]
        assert session.machine("W").connections["ws"].state is ConnectionState.FLOWING

    def test_a_second_websocket_of_a_participant_makes_no_event(self) -> None:
        session = DecidedSession()
        session.apply(events("W", "one"))

        assert session.apply(events("W", "two")).events == ()

    def test_a_returning_participant_keeps_its_row_and_first_join(self) -> None:
        session = DecidedSession()
        session.open_events("W")
        known = session.participant("W").record
        session.apply(ended("W", "ws-W"))
        session.advance(500)

        session.apply(events("W", "again", known=known))

        assert session.participant("W").record.first_join_ms == known.first_join_ms


class TestEncoderRequested:
    def test_an_encoder_joins_before_the_engine_is_asked(self) -> None:
        session = DecidedSession()

        decision = session.apply(encode("E", "enc"))

        assert event_names(decision.events) == ["E JOINED"]
        assert [type(order) for order in decision.orders[-2:]] == [OpenRoute, AskEngine]
        assert session.machine("E").publication_id == "enc"

    def test_a_redundant_stream_uses_the_source_of_its_virtual_participant(self) -> None:
        session = DecidedSession()
        session.apply(encode("X", "enc-X", feeds="V"))

        decision = session.apply(encode("Y", "enc-Y", feeds="V"))

        assert orders_of(decision, AskEngine) == [AskEngine(connection_id="enc-Y", source_id="source-enc-X")]
        assert session.machine("Y").connections["enc-Y"].kind is ConnectionKind.REDUNDANT
        assert "V" not in session.session.participants

    @pytest.mark.parametrize("connect", [False, True])
    def test_a_stream_key_in_use_is_refused(self, *, connect: bool) -> None:
        session = DecidedSession()
        session.encode("E", connect=connect)

        decision = session.apply(encode("E", "second"))

        assert event_names(decision.events) == ["E PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]
        assert code_of(decision.refusal) is ErrorCode.REUSE_OF_STREAM_KEY
        assert list(session.machine("E").connections) == ["enc-E"]

    @pytest.mark.parametrize("quota", ["publishers_per_stage", "publishers_per_account", "participants_per_stage"])
    def test_a_full_stage_is_a_publish_error_too(self, quota: str) -> None:
        session = DecidedSession(limits=replace(RELAXED, **{quota: 0}))

        decision = session.apply(encode("E", "enc"))

        assert event_names(decision.events) == ["E PUBLISH_ERROR:QUOTA_EXCEEDED"]


class TestAttemptRefused:
    def test_a_refusal_by_the_manager_is_recorded(self) -> None:
        session = DecidedSession()
        fact = AttemptRefused(
            claims=stream_claims("E"),
            client=CLIENT,
            failure="PUBLISH_ERROR",
            code=ErrorCode.INVALID_STREAM_KEY,
            detail="the secret is wrong",
        )

        decision = session.apply(fact)

        (entry,) = decision.events
        assert event_names(decision.events) == ["E PUBLISH_ERROR:INVALID_STREAM_KEY"]
        assert (entry.event.cause, entry.event.detail) == (Cause.REFUSED, "the secret is wrong")
        assert code_of(decision.refusal) is ErrorCode.INVALID_STREAM_KEY


def test_the_capabilities_of_the_current_token_count_while_the_participant_is_present() -> None:
    session = DecidedSession()
    session.open_events("P", capabilities=frozenset({Capability.SUBSCRIBE}))

    # Both tokens are minted by the server, so the one that is shown counts for the request.
    assert session.apply(publish("P", "one")).refusal is None
    # When the engine has answered, the participant's own token decides.
    assert code_of(session.answer("P", "one").refusal) is ErrorCode.INSUFFICIENT_CAPABILITIES
    assert session.participant("P").claims == claims("P", Capability.SUBSCRIBE)


def test_a_connection_that_connects_twice_starts_once() -> None:
    session = DecidedSession()
    session.publish("P", "one")

    assert changes_nothing(session, connected("P", "one"))
