"""The quotas of a stage, of an account and of a participant: what counts, and what counts once."""

import pytest
from msgspec.structs import replace

from stagebook.stage.limits import RELAXED
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.rules.quotas import (
    connections_quota,
    participants_quota,
    publishers_quota,
    subscribers_quota,
)
from stagebook.stage.session.session_state import SessionParticipant
from tests.stage.session.decided_session import DecidedSession, ended, publish, replicate, subscribe


def session_with(**limits: int) -> DecidedSession:
    return DecidedSession(limits=replace(RELAXED, **limits))


def draft_and(session: DecidedSession, participant_id: str) -> tuple[Draft, SessionParticipant | None]:
    draft = Draft(session.session, session.context)
    return draft, draft.find(participant_id)


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

    def test_the_offers_in_progress_of_one_publisher_are_bounded(self) -> None:
        session = session_with(connections_per_participant=2)
        session.publish("A")
        for number in range(2):
            session.apply(publish("A", f"offer-{number}"))

        assert publishers_quota(*draft_and(session, "A")) == "the participant has 2 offers in progress already"

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

        assert subscribers_quota(*draft_and(session, "B")) == "the stage has 2 subscribers already"

    def test_subscriptions_of_the_account(self) -> None:
        session = session_with(subscriptions_per_account=9)
        session.account_subscribers = 9

        assert subscribers_quota(*draft_and(session, "B")) == "the account has 9 subscriptions already"

    def test_connections_of_the_participant(self) -> None:
        session = session_with(connections_per_participant=1)
        session.open_events("A")

        assert subscribers_quota(*draft_and(session, "A")) == "the participant has 1 connections already"
