"""The quotas of a stage, of an account and of a participant: what counts, and what counts once."""

import pytest
from msgspec.structs import replace

from stagebook.stage.errors import AttemptRefusedError, ServerBusyError
from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import RELAXED
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.rules.quotas import (
    MAX_OFFERS_IN_PROGRESS,
    connections_quota,
    offers_in_progress,
    participants_quota,
    publishers_quota,
    subscribers_quota,
)
from stagebook.stage.session.session_facts import PublishRequested, SubscribeRequested
from stagebook.stage.session.session_state import SessionParticipant
from tests.stage.session.decided_session import DecidedSession, ended, publish, replicate, subscribe


def session_with(**limits: int) -> DecidedSession:
    return DecidedSession(limits=replace(RELAXED, **limits))


def draft_and(session: DecidedSession, participant_id: str) -> tuple[Draft, SessionParticipant | None]:
    draft = Draft(session.session, session.context)
    return draft, draft.find(participant_id)


class TestOffersInProgress:
    def test_a_participant_may_have_two(self) -> None:
        session = session_with()
        session.publish("P")
        assert offers_in_progress(None) is None
        for number in range(MAX_OFFERS_IN_PROGRESS):
            assert offers_in_progress(session.session.participants.get("A")) is None
            session.apply(subscribe("A", f"offer-{number}", "P"))

        refusal = offers_in_progress(session.participant("A"))

        assert str(refusal) == "the participant has 2 offers in progress already; try again"
        assert offers_in_progress(session.participant("P")) is None

    @pytest.mark.parametrize("offer", [publish("A", "third"), subscribe("A", "third", "P")], ids=["publish", "watch"])
    def test_the_third_is_refused_without_an_event(self, offer: PublishRequested | SubscribeRequested) -> None:
        session = session_with()
        session.publish("P")
        session.apply(publish("A", "first"))
        session.apply(subscribe("A", "second", "P"))

        decision = session.apply(offer)

        assert isinstance(decision.refusal, ServerBusyError)
        assert (decision.events, decision.orders) == ((), ())
        assert set(session.participant("A").attempts) == {"first", "second"}
        session.answer("A", "first")
        assert session.apply(offer).refusal is None

    def test_a_publisher_that_publishes_already_is_bounded_too(self) -> None:
        session = session_with()
        session.publish("A")
        for number in range(MAX_OFFERS_IN_PROGRESS):
            session.apply(publish("A", f"offer-{number}"))

        assert isinstance(session.apply(publish("A", "third")).refusal, ServerBusyError)

    def test_an_events_websocket_is_no_offer(self) -> None:
        session = session_with()
        for number in range(MAX_OFFERS_IN_PROGRESS):
            session.apply(publish("A", f"offer-{number}"))

        assert session.open_events("A").refusal is None


class TestParticipants:
    def test_participants_and_arrivals_count(self) -> None:
        session = session_with(participants_per_stage=2)
        session.open_events("A")
        assert participants_quota(*draft_and(session, "C")) is None

        session.apply(publish("B", "offer"))

        assert participants_quota(*draft_and(session, "C")) == "the stage is full: 2 participants"

    @pytest.mark.parametrize("participant_id", ["A", "B"])
    def test_a_participant_on_the_stage_or_arriving_has_its_place(self, participant_id: str) -> None:
        session = session_with(participants_per_stage=2)
        session.open_events("A")
        session.apply(publish("B", "offer"))

        assert participants_quota(*draft_and(session, participant_id)) is None

    def test_an_awaited_publisher_needs_a_place_when_it_returns(self) -> None:
        session = session_with(participants_per_stage=1)
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))
        session.open_events("A")

        assert participants_quota(*draft_and(session, "P")) == "the stage is full: 1 participants"


class TestConnections:
    def test_connections_and_offers_in_progress_count(self) -> None:
        session = session_with(connections_per_participant=2)
        session.open_events("A")
        assert connections_quota(*draft_and(session, "A")) is None

        session.apply(publish("A", "offer"))

        assert connections_quota(*draft_and(session, "A")) == "the participant has 2 connections already"

    def test_a_new_participant_has_none(self) -> None:
        assert connections_quota(*draft_and(session_with(connections_per_participant=1), "A")) is None


class TestPublishers:
    def test_publishers_of_the_stage(self) -> None:
        session = session_with(publishers_per_stage=1)
        session.apply(publish("A", "offer"))

        assert publishers_quota(*draft_and(session, "B")) == "the stage has 1 publishers already"

    def test_publishers_of_the_account(self) -> None:
        session = session_with(publishers_per_account=7)
        session.account_publishers = 7

        assert publishers_quota(*draft_and(session, "A")) == "the account has 7 publishers already"

    def test_a_publisher_that_reconnects_counts_once(self) -> None:
        session = session_with(publishers_per_stage=1, publishers_per_account=1, connections_per_participant=1)
        session.publish("A")
        session.account_publishers = 1

        assert publishers_quota(*draft_and(session, "A")) is None

    def test_connections_of_the_participant(self) -> None:
        session = session_with(connections_per_participant=1)
        session.open_events("A")

        assert publishers_quota(*draft_and(session, "A")) == "the participant has 1 connections already"

    def test_redundant_streams_count_and_the_virtual_participant_does_not(self) -> None:
        session = session_with(publishers_per_stage=3)
        for stream in ("X", "Y"):
            session.encode(stream, feeds="V")
        assert session.session.usage.publishers == 2
        assert publishers_quota(*draft_and(session, "A")) is None


class TestSubscribers:
    def test_subscriptions_of_the_stage(self) -> None:
        session = session_with(subscribers_per_stage=2)
        session.publish("P")
        session.subscribe("A", "P")
        session.apply(subscribe("A", "offer", "P"))

        assert subscribers_quota(*draft_and(session, "B"), "P") == "the stage has 2 subscribers already"

    def test_subscriptions_of_the_account(self) -> None:
        session = session_with(subscriptions_per_account=9)
        session.account_subscribers = 9

        assert subscribers_quota(*draft_and(session, "B"), "P") == "the account has 9 subscriptions already"

    def test_connections_of_the_participant(self) -> None:
        session = session_with(connections_per_participant=1)
        session.open_events("A")

        assert subscribers_quota(*draft_and(session, "A"), "P") == "the participant has 1 connections already"

    def test_subscriptions_of_the_participant_to_one_publisher(self) -> None:
        session = session_with(subscriptions_per_publisher=2)
        session.publish("P")
        session.publish("Q")
        session.subscribe("A", "P")
        session.apply(subscribe("A", "offer", "P"))

        reached = "the participant watches this publisher 2 times already"
        assert subscribers_quota(*draft_and(session, "A"), "P") == reached
        assert subscribers_quota(*draft_and(session, "A"), "Q") is None
        assert subscribers_quota(*draft_and(session, "B"), "P") is None
        decision = session.apply(subscribe("A", "third", "P"))
        assert isinstance(decision.refusal, AttemptRefusedError)
        assert decision.refusal.code is ErrorCode.QUOTA_EXCEEDED
