"""What one participant counts in the quotas, and the properties that are derived from its state."""

from stagebook.stage.events import Cause
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord
from stagebook.stage.session.session_facts import ReplicaPaused
from stagebook.stage.session.session_state import NO_USAGE, Session, SessionParticipant, Usage, usage_of
from tests.stage.session.decided_session import (
    ACCOUNT,
    STAGE,
    DecidedSession,
    claims,
    ended,
    publish,
    replica_arrives,
    replicate,
    stream_claims,
    subscribe,
)


class TestUsageOf:
    def test_an_events_websocket_is_a_participant_and_nothing_more(self) -> None:
        session = DecidedSession()
        session.open_events("W")

        assert usage_of(session.participant("W")) == Usage(present=1)

    def test_a_publisher_counts_once_with_its_replacement_and_its_offers(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.publish("P", "second", connect=False)
        session.apply(publish("P", "third"))

        assert usage_of(session.participant("P")) == Usage(present=1, publishers=1)

    def test_each_subscription_counts_also_while_it_is_offered(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")
        session.subscribe("V", "P", "second", connect=False)
        session.apply(subscribe("V", "third", "P"))

        assert usage_of(session.participant("V")) == Usage(present=1, subscribers=3)

    def test_an_offer_of_an_absent_participant_is_an_arrival(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "offer"))

        assert usage_of(session.participant("P")) == Usage(arriving=1, publishers=1)

    def test_an_awaited_publisher_is_neither_present_nor_a_publisher(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))

        assert usage_of(session.participant("P")) == Usage(awaited=1)

    def test_a_replica_is_a_publisher_also_while_it_waits(self) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R", "r"))
        assert usage_of(session.participant("R")) == Usage(present=1, publishers=1)

        session.apply(ReplicaPaused(participant_id="R", replication_id="r", cause=Cause.CLIENT))

        assert usage_of(session.participant("R")) == Usage(present=1, publishers=1)

    def test_redundant_streams_are_publishers_and_their_virtual_participant_is_none(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V")

        assert usage_of(session.participant("X")) == Usage(present=1, publishers=1)
        assert usage_of(session.participant("V")) == Usage(present=1)


class TestSessionParticipant:
    def test_the_protocol_is_that_of_the_publication(self) -> None:
        def protocol(participant: SessionParticipant) -> ParticipantProtocol:
            return participant.protocol

        record = ParticipantRecord(participant_id="P", protocol=ParticipantProtocol.RTMP)
        replica = SessionParticipant(claims=claims("P"), record=record, machine=Participant(is_replica=True))

        assert protocol(SessionParticipant(claims=claims("P"), record=record)) is ParticipantProtocol.WHIP
        assert protocol(SessionParticipant(claims=stream_claims("P"), record=record)) is ParticipantProtocol.RTMPS
        assert protocol(replica) is ParticipantProtocol.RTMP

    def test_a_stream_names_its_virtual_participant(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V")
        session.encode("E")
        session.open_events("W")

        virtual_ids = {each: session.participant(each).virtual_id for each in ("X", "V", "E", "W")}
        assert virtual_ids == {"X": "V", "V": None, "E": None, "W": None}
        assert [each for each in virtual_ids if session.participant(each).is_virtual] == ["V"]

    def test_a_participant_counts_nothing_without_connections_replications_and_offers(self) -> None:
        session = DecidedSession()
        session.apply(publish("A", "offer"))
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))

        assert usage_of(session.participant("A")) == Usage(arriving=1, publishers=1)
        assert usage_of(session.participant("P")) == Usage(awaited=1)
        nobody = SessionParticipant(claims=claims("B"), record=ParticipantRecord(participant_id="B"))
        assert usage_of(nobody) is NO_USAGE


def test_a_session_knows_its_replicas() -> None:
    session = DecidedSession()
    session.open_events("W")
    session.apply(replica_arrives("R"))

    assert session.session.has_replica("R")
    assert not session.session.has_replica("W")
    assert not Session(stage_arn=STAGE, account_id=ACCOUNT, session_id="st-new").has_replica("R")
