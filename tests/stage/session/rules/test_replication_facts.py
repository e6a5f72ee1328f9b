"""Replications: what the API can start and stop, and how the sessions of source and destination follow each other."""

import pytest
from msgspec.structs import replace

from stagebook.stage.errors import (
    ConflictError,
    ResourceNotFoundError,
    ServiceQuotaExceededError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import (
    ParticipantRecord,
    ParticipantState,
    ReplicationState,
    ReplicationType,
)
from stagebook.stage.session.orders import CancelAttempt, EndSource, Forward, WriteParticipant, WriteReplica
from stagebook.stage.session.session_facts import (
    ReplicaArrived,
    ReplicaEnded,
    ReplicaPaused,
    ReplicaResumed,
    ReplicationEnded,
    ReplicationStopRequested,
    WindowElapsed,
)
from tests.stage.session.decided_session import (
    OTHER_SESSION,
    OTHER_STAGE,
    SESSION,
    STAGE,
    START,
    DecidedSession,
    changes_nothing,
    ended,
    event_names,
    orders_of,
    publish,
    replica_arrives,
    replicate,
    subscribe,
)

PAUSED = ReplicaPaused(participant_id="R", replication_id="r", cause=Cause.PEER_LOST)
RESUMED = ReplicaResumed(participant_id="R", replication_id="r", source_id="new source")
ENDED = ReplicaEnded(participant_id="R", replication_id="r", cause=Cause.REPLICATION_API)


def stop(participant_id: str = "P", stage_arn: str = OTHER_STAGE) -> ReplicationStopRequested:
    return ReplicationStopRequested(participant_id=participant_id, destination_stage_arn=stage_arn)


def publishing() -> DecidedSession:
    session = DecidedSession()
    session.publish("P")
    return session


class TestReplicationRequested:
    def test_the_publisher_is_replicated_and_the_replica_arrives_at_the_destination(self) -> None:
        session = publishing()

        decision = session.apply(replace(replicate("P"), attributes={"role": "guest"}))

        assert event_names(decision.events) == ["P REPLICATION_STARTED"]
        destination = decision.events[0].event.destination
        assert destination is not None
        assert (destination.stage_arn, destination.session_id) == (OTHER_STAGE, OTHER_SESSION)
        (forward,) = orders_of(decision, Forward)
        assert forward.stage_arn == OTHER_STAGE
        arrived = forward.fact
        assert isinstance(arrived, ReplicaArrived)
        assert arrived.claims.stage_arn == OTHER_STAGE
        assert arrived.claims.capabilities == frozenset()
        assert arrived.claims.attributes == arrived.record.attributes == {"role": "guest"}
        assert arrived.source_id == "source-pub-P"
        assert (arrived.replica.source_stage_arn, arrived.replica.source_session_id) == (STAGE, SESSION)
        assert arrived.replica.state is ReplicationState.ACTIVE

    def test_the_row_of_the_source_is_active(self) -> None:
        session = publishing()
        session.apply(replicate("P"))

        record = session.participant("P").record

        assert (record.replication_type, record.replication_state) == (ReplicationType.SOURCE, ReplicationState.ACTIVE)

    @pytest.mark.parametrize(
        ("participant_id", "reason"),
        [
            ("nobody", "is not publishing"),
            ("W", "is not publishing"),
            ("Opening", "is not publishing"),
            ("X", "is a redundant stream: replicate V"),
            ("R", "is a replica"),
            ("P", "is replicated to that stage already"),
        ],
    )
    def test_participants_that_do_not_publish_by_themselves_are_not_replicated(
        self, participant_id: str, reason: str
    ) -> None:
        session = publishing()
        session.open_events("W")
        session.publish("Opening", connect=False)
        session.encode("X", feeds="V")
        session.apply(replica_arrives("R"))
        session.apply(replicate("P"))
        before = session.session

        decision = session.apply(replicate(participant_id, "second"))

        assert isinstance(decision.refusal, ConflictError)
        assert reason in str(decision.refusal)
        assert (decision.session, decision.events, decision.orders) == (before, (), ())

    def test_the_virtual_participant_of_redundant_streams_can_be_replicated(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V")

        assert event_names(session.apply(replicate("V")).events) == ["V REPLICATION_STARTED"]

    def test_the_replications_of_a_participant_have_a_quota(self) -> None:
        session = DecidedSession(limits=replace(RELAXED, replications_per_participant=1))
        session.publish("P")
        session.apply(replicate("P"))

        decision = session.apply(replace(replicate("P", "second"), destination_stage_arn="elsewhere"))

        assert isinstance(decision.refusal, ServiceQuotaExceededError)

    def test_an_awaited_publisher_is_not_replicated_again(self) -> None:
        session = publishing()
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))

        assert isinstance(session.apply(replicate("P", "second")).refusal, ConflictError)


class TestReplicationStopRequested:
    def test_a_running_replication_ends_at_both_ends(self) -> None:
        session = publishing()
        session.apply(replicate("P"))

        decision = session.apply(stop())

        assert event_names(decision.events) == ["P REPLICATION_STOPPED"]
        assert decision.events[0].event.cause is Cause.REPLICATION_API
        ended_there = ReplicaEnded(participant_id="P", replication_id="r", cause=Cause.REPLICATION_API)
        assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=ended_there)]
        assert session.participant("P").record.replication_state is ReplicationState.STOPPED

    def test_a_replication_that_waits_can_be_stopped(self) -> None:
        session = publishing()
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))

        session.apply(stop())

        assert len(session.session.participants) == 0

    @pytest.mark.parametrize("fact", [stop("nobody"), stop("W"), stop("P", "elsewhere")])
    def test_a_replication_that_does_not_run_is_not_found(self, fact: ReplicationStopRequested) -> None:
        session = publishing()
        session.open_events("W")
        session.apply(replicate("P"))

        decision = session.apply(fact)

        assert isinstance(decision.refusal, ResourceNotFoundError)
        assert decision.events == ()

    def test_a_replication_stops_once(self) -> None:
        session = publishing()
        session.apply(replicate("P"))
        session.apply(stop())

        assert isinstance(session.apply(stop()).refusal, ResourceNotFoundError)


class TestWindowElapsed:
    def test_a_replication_ends_when_its_publisher_was_away_for_the_window(self) -> None:
        session = publishing()
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "pub-P"))

        decision = session.apply(WindowElapsed(participant_id="P", replication_id="r"))

        assert event_names(decision.events) == ["P REPLICATION_STOPPED"]
        assert decision.events[0].event.cause is Cause.PUBLISHER_STOPPED
        assert decision.events[0].event.detail == "the publisher was away for 30 seconds"

    def test_a_late_timer_of_a_publisher_that_returned_changes_nothing(self) -> None:
        session = publishing()
        session.apply(replicate("P", window_seconds=30))

        assert changes_nothing(session, WindowElapsed(participant_id="P", replication_id="r"))


class TestReplicationEnded:
    def test_the_source_records_the_stop_and_goes_on_publishing(self) -> None:
        session = publishing()
        session.apply(replicate("P", window_seconds=30))
        fact = ReplicationEnded(participant_id="P", replication_id="r", cause=Cause.STAGE_DELETED)

        decision = session.apply(fact)

        assert event_names(decision.events) == ["P REPLICATION_STOPPED"]
        assert orders_of(decision, Forward) == []
        assert session.machine("P").is_publishing
        assert changes_nothing(session, fact)


class TestReplicaArrived:
    def test_a_replica_joins_and_publishes_in_one_action(self) -> None:
        session = DecidedSession()

        decision = session.apply(replica_arrives("R"))

        assert event_names(decision.events) == ["R JOINED", "R PUBLISH_STARTED"]
        assert all(entry.event.replica for entry in decision.events)
        (row,) = orders_of(decision, WriteParticipant)
        assert row.record.replication_type is ReplicationType.REPLICA
        assert row.record.replication_state is ReplicationState.ACTIVE
        assert (row.record.source_stage_arn, row.record.source_session_id) == (OTHER_STAGE, OTHER_SESSION)
        assert row.record.first_join_ms == START.wall_ms
        assert [order.replica.state for order in orders_of(decision, WriteReplica)] == [ReplicationState.ACTIVE]
        assert session.session.sources["R"].is_local is False

    def test_a_participant_with_the_same_id_on_the_stage_refuses_the_replica(self) -> None:
        session = DecidedSession()
        session.open_events("R")

        decision = session.apply(replica_arrives("R"))

        assert isinstance(decision.refusal, ConflictError)
        assert decision.events == ()

    def test_an_awaited_participant_with_the_same_id_refuses_the_replica(self) -> None:
        session = DecidedSession()
        session.publish("R")
        session.apply(replicate("R", "other", window_seconds=30))
        session.apply(ended("R", "pub-R"))

        assert isinstance(session.apply(replica_arrives("R")).refusal, ConflictError)

    def test_an_offer_in_progress_with_the_same_id_is_cancelled(self) -> None:
        session = DecidedSession()
        session.apply(publish("R", "offer"))

        decision = session.apply(replica_arrives("R"))

        (cancelled,) = orders_of(decision, CancelAttempt)
        assert isinstance(cancelled.error, TokenRefusedError)
        assert cancelled.error.refusal is TokenRefusal.PARTICIPANT_REPLICATED
        assert orders_of(decision, EndSource) == [EndSource(source_id="source-offer")]
        assert session.session.has_replica("R")
        assert session.session.usage.publishers == 1

    def test_a_participant_that_was_there_before_keeps_its_first_join(self) -> None:
        session = DecidedSession()
        known = ParticipantRecord(participant_id="R", first_join_ms=5, published=True)

        session.apply(replica_arrives("R", known=known))

        record = session.participant("R").record
        assert (record.first_join_ms, record.state) == (5, ParticipantState.CONNECTED)

    def test_one_whose_offer_is_in_progress_keeps_its_first_join_too(self) -> None:
        session = DecidedSession()
        known = ParticipantRecord(participant_id="R", first_join_ms=5, published=True)
        session.apply(publish("R", "offer", known=known))

        session.apply(replica_arrives("R"))

        assert session.participant("R").record.first_join_ms == 5

    @pytest.mark.parametrize(
        ("quota", "named"),
        [
            ("publishers_per_stage", "publishers of the destination stage"),
            ("participants_per_stage", "participants of the destination stage"),
            ("publishers_per_account", "publishers of the account"),
        ],
    )
    def test_quotas_of_the_destination_refuse_it(self, quota: str, named: str) -> None:
        session = DecidedSession(limits=replace(RELAXED, **{quota: 1}))
        session.publish("P")
        session.account_publishers = 1

        decision = session.apply(replica_arrives("R"))

        assert isinstance(decision.refusal, ServiceQuotaExceededError)
        assert named in str(decision.refusal)


class TestReplicaPausedAndResumed:
    def test_a_paused_replica_stops_and_stays_and_its_viewers_leave(self) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R"))
        session.subscribe("V", "R")

        decision = session.apply(PAUSED)

        assert event_names(decision.events) == ["R PUBLISH_STOPPED", "V SUBSCRIBE_STOPPED", "V LEFT"]
        assert session.participant("R").record.state is ParticipantState.CONNECTED
        assert event_names(session.apply(subscribe("V", "again", "R")).events) == [
            "V SUBSCRIBE_ERROR:PUBLISHER_NOT_FOUND"
        ]

    def test_a_resumed_replica_is_watched_by_the_new_source(self) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R"))
        session.apply(PAUSED)

        decision = session.apply(RESUMED)

        assert event_names(decision.events) == ["R PUBLISH_STARTED"]
        assert session.session.sources["R"].source_id == "new source"

    @pytest.mark.parametrize("fact", [PAUSED, RESUMED, ENDED])
    def test_facts_of_another_replication_change_nothing(
        self, fact: ReplicaPaused | ReplicaResumed | ReplicaEnded
    ) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R", "another"))

        assert changes_nothing(session, fact)


class TestReplicaEnded:
    @pytest.mark.parametrize("is_paused", [False, True])
    def test_a_replica_leaves_with_its_viewers(self, *, is_paused: bool) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R"))
        session.subscribe("V", "R")
        if is_paused:
            session.apply(PAUSED)

        decision = session.apply(ENDED)

        stopped = [] if is_paused else ["R PUBLISH_STOPPED"]
        viewers = [] if is_paused else ["V SUBSCRIBE_STOPPED", "V LEFT"]
        assert event_names(decision.events) == [*stopped, "R LEFT", *viewers]
        assert [order.replica.state for order in orders_of(decision, WriteReplica)] == [ReplicationState.STOPPED]
        assert orders_of(decision, Forward) == []
        assert (len(session.session.participants), len(session.session.sources)) == (0, 0)


class TestVirtualParticipantAsReplica:
    def test_a_replica_is_refused_while_a_stream_feeds_a_virtual_participant_with_its_id(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="R", connect=False)

        decision = session.apply(replica_arrives("R"))

        assert isinstance(decision.refusal, ConflictError)
        assert decision.events == ()

    def test_a_stream_is_refused_while_a_replica_has_the_id_of_its_virtual_participant(self) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R"))

        decision = session.encode("X", feeds="R", connect=False)

        assert isinstance(decision.refusal, TokenRefusedError)
        assert decision.refusal.refusal is TokenRefusal.PARTICIPANT_REPLICATED
        assert "X" not in session.session.participants
