"""How connections end, and everything that follows on the stage, in causal order."""

import pytest
from msgspec.structs import replace

from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.resources import ReplicationState
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import (
    CancelTimer,
    CloseConnection,
    CloseEvents,
    CloseRoute,
    EndSource,
    FarewellReason,
    Forward,
    WriteReplica,
)
from stagebook.stage.session.rules.teardown import FAREWELLS, End, cut_connection, end_connections
from stagebook.stage.session.session_facts import (
    ParticipantsDisconnected,
    ReplicaEnded,
    ReplicaPaused,
    ReplicationEnded,
    SessionClosed,
    SessionFact,
)
from tests.executed_lines import counted_lines
from tests.stage.session.decided_session import (
    OTHER_STAGE,
    DecidedSession,
    ended,
    event_names,
    events,
    orders_of,
    replica_arrives,
    replicate,
)


def lines_of_end(*, viewers: int, fact: SessionFact) -> int:
    """Return how many lines a decision executes that ends a publication with so many viewers."""
    session = DecidedSession()
    session.publish("P")
    for number in range(viewers):
        session.subscribe(f"V{number}", "P")
    with counted_lines() as count:
        decision = session.apply(fact)
    assert sum(name.endswith("SUBSCRIBE_STOPPED") for name in event_names(decision.events)) == viewers
    return count.lines


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(ended("P", "pub-P"), marks=pytest.mark.slow),
        pytest.param(
            ParticipantsDisconnected(participant_ids=("P",), cause=Cause.DISCONNECTED_BY_API), marks=pytest.mark.slow
        ),
        SessionClosed(cause=Cause.STAGE_DELETED),
    ],
    ids=["publication", "publisher", "session"],
)
def test_the_end_of_a_publication_costs_in_proportion_to_its_viewers(fact: SessionFact) -> None:
    few, many = lines_of_end(viewers=50, fact=fact), lines_of_end(viewers=200, fact=fact)
    assert many < 4.2 * few


class TestReason:
    def test_the_reason_of_a_cut_is_its_code_and_detail(self) -> None:
        end = End(cause=Cause.LIMIT, code=ErrorCode.BITRATE_EXCEEDED, detail="9 Mbit/s")
        assert end.reason == "BITRATE_EXCEEDED: 9 Mbit/s"

    @pytest.mark.parametrize("cause", sorted(FAREWELLS))
    def test_the_reason_of_an_end_by_the_server_is_its_farewell(self, cause: Cause) -> None:
        assert End(cause=cause).reason == FAREWELLS[cause].value
        assert End(cause=cause, detail="enough").reason == f"{FAREWELLS[cause].value}: enough"

    def test_an_end_by_the_client_has_no_reason(self) -> None:
        assert End(cause=Cause.CLIENT).reason == ""


class TestSubscriptions:
    def test_only_the_connection_of_the_viewer_is_closed(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")

        decision = session.apply(ended("V", "sub-V"))

        assert event_names(decision.events) == ["V SUBSCRIBE_STOPPED", "V LEFT"]
        assert [order for order in decision.orders if not isinstance(order, CancelTimer)][1:3] == [
            CloseRoute(connection_id="sub-V"),
            CloseConnection(connection_id="sub-V"),
        ]
        assert CancelTimer(key="duration:sub-V") in decision.orders
        assert len(session.session.viewers) == 0

    @pytest.mark.parametrize(
        ("cause", "as_failure"), [(Cause.CLIENT, False), (Cause.DISCONNECTED_BY_API, True), (Cause.LIMIT, True)]
    )
    def test_a_viewer_that_did_not_ask_for_the_end_sees_a_failure(self, cause: Cause, *, as_failure: bool) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")
        orders = orders_of(session.apply(ended("V", "sub-V", cause)), CloseConnection)
        assert orders == [CloseConnection(connection_id="sub-V", as_failure=as_failure)]

    def test_a_viewer_sees_a_failure_when_its_publisher_has_left(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")
        orders = orders_of(session.apply(ended("P", "pub-P")), CloseConnection)
        assert orders == [CloseConnection(connection_id="sub-V", as_failure=True)]

    def test_a_viewer_with_the_sdk_sees_no_failure_when_its_publisher_has_left(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replace(events("V", "ws-V"), is_sole=True))
        session.subscribe("V", "P")
        orders = orders_of(session.apply(ended("P", "pub-P")), CloseConnection)
        assert orders == [CloseConnection(connection_id="sub-V", as_failure=False)]

    def test_a_connection_that_never_flowed_has_no_duration_timer(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P", connect=False)

        decision = session.apply(ended("V", "sub-V"))

        assert orders_of(decision, CancelTimer) == []


class TestPublications:
    def test_viewers_leave_after_their_publisher_in_order_of_arrival(self) -> None:
        session = DecidedSession()
        session.open_events("B")
        session.publish("P")
        for viewer in "CAB":
            session.subscribe(viewer, "P")

        decision = session.apply(ended("P", "pub-P", Cause.PEER_LOST))

        assert event_names(decision.events) == [
            "P PUBLISH_STOPPED",
            "P LEFT",
            "B SUBSCRIBE_STOPPED",
            "C SUBSCRIBE_STOPPED",
            "C LEFT",
            "A SUBSCRIBE_STOPPED",
            "A LEFT",
        ]
        assert {entry.event.cause for entry in decision.events[2:]} == {Cause.PUBLISHER_STOPPED}

    def test_all_subscriptions_of_one_viewer_end_together(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P", "one")
        session.subscribe("V", "P", "two")

        decision = session.apply(ended("P", "pub-P"))

        assert event_names(decision.events)[2:] == ["V SUBSCRIBE_STOPPED", "V SUBSCRIBE_STOPPED", "V LEFT"]

    def test_the_source_ends_with_the_publication(self) -> None:
        session = DecidedSession()
        session.publish("P")

        decision = session.apply(ended("P", "pub-P"))

        assert orders_of(decision, EndSource) == [EndSource(source_id="source-pub-P")]
        assert orders_of(decision, CloseConnection) == []
        assert len(session.session.sources) == 0

    def test_viewers_of_others_stay(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.publish("Q")
        session.subscribe("V", "Q")

        session.apply(ended("P", "pub-P"))

        assert session.names("V") == ["JOINED", "SUBSCRIBE_STARTED"]

    def test_a_participant_that_watches_itself_leaves_once(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("P", "P")

        decision = session.apply(ended("P", "pub-P"))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P SUBSCRIBE_STOPPED", "P LEFT"]

    def test_two_publishers_that_watch_each_other_end_independently(self) -> None:
        session = DecidedSession()
        for participant_id in "PQ":
            session.publish(participant_id)
        session.subscribe("P", "Q", "p-to-q")
        session.subscribe("Q", "P", "q-to-p")

        decision = session.apply(ParticipantsDisconnected(participant_ids=("P",), cause=Cause.DISCONNECTED_BY_API))

        assert event_names(decision.events) == [
            "P PUBLISH_STOPPED",
            "P SUBSCRIBE_STOPPED",
            "P LEFT",
            "Q SUBSCRIBE_STOPPED",
        ]


class TestEventsWebsockets:
    @pytest.mark.parametrize(
        ("cause", "farewell"),
        [
            (Cause.CLIENT, None),
            (Cause.PEER_LOST, None),
            (Cause.DISCONNECTED_BY_API, FarewellReason.DISCONNECTED),
            (Cause.STAGE_DELETED, FarewellReason.STAGE_DELETED),
            (Cause.SHUTDOWN, FarewellReason.SHUTDOWN),
            (Cause.CONNECTION_TOKEN_REVOKED, FarewellReason.CONNECTION_TOKEN_REVOKED),
        ],
    )
    def test_the_server_sends_the_reason_when_it_ends_the_websocket(
        self, cause: Cause, farewell: FarewellReason | None
    ) -> None:
        session = DecidedSession()
        session.open_events("W")

        decision = session.apply(ended("W", "ws-W", cause))

        assert orders_of(decision, CloseEvents) == [CloseEvents(connection_id="ws-W", farewell=farewell)]


class TestRedundantStreams:
    @staticmethod
    def session(*, both: bool = True) -> DecidedSession:
        session = DecidedSession()
        session.encode("X", feeds="V")
        session.encode("Y", feeds="V", connect=both)
        session.subscribe("A", "V")
        return session

    def test_one_of_two_streams_ends_alone(self) -> None:
        session = self.session()

        decision = session.apply(ended("X", "enc-X"))

        assert event_names(decision.events) == ["X PUBLISH_STOPPED", "X LEFT"]
        assert orders_of(decision, CloseConnection) == [CloseConnection(connection_id="enc-X")]
        assert orders_of(decision, EndSource) == []

    def test_the_last_stream_ends_the_virtual_participant_and_its_viewers(self) -> None:
        session = self.session()
        session.apply(ended("X", "enc-X"))

        decision = session.apply(ended("Y", "enc-Y", Cause.PEER_LOST))

        assert event_names(decision.events) == [
            "Y PUBLISH_STOPPED",
            "Y LEFT",
            "V PUBLISH_STOPPED",
            "V LEFT",
            "A SUBSCRIBE_STOPPED",
            "A LEFT",
        ]
        assert decision.events[3].event.cause is Cause.PEER_LOST
        assert orders_of(decision, EndSource) == [EndSource(source_id="source-enc-X")]

    def test_a_stream_that_is_only_opening_keeps_the_source_but_not_the_virtual_participant(self) -> None:
        session = self.session(both=False)

        decision = session.apply(ended("X", "enc-X"))

        assert "V LEFT" in event_names(decision.events)
        assert orders_of(decision, EndSource) == []
        assert dict(session.session.sources["V"].users) == {"enc-Y": "Y"}

    def test_a_stream_that_never_flowed_ends_the_source(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V", connect=False)

        decision = session.apply(ended("X", "enc-X"))

        assert event_names(decision.events) == ["X LEFT"]
        assert orders_of(decision, EndSource) == [EndSource(source_id="source-enc-X")]

    def test_an_encoder_receives_the_reason_for_its_end(self) -> None:
        session = self.session()

        decision = session.apply(
            ParticipantsDisconnected(participant_ids=("V", "X", "Y"), cause=Cause.DISCONNECTED_BY_API, detail="moved")
        )

        reason = "PARTICIPANT_DISCONNECTED: moved"
        assert [order.detail for order in orders_of(decision, CloseConnection) if order.connection_id != "sub-A"] == [
            reason,
            reason,
        ]
        assert orders_of(decision, EndSource) == [EndSource(source_id="source-enc-X", detail=reason)]


class TestReplications:
    def test_a_publication_without_a_window_ends_its_replications_before_it_leaves(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replicate("P"))

        decision = session.apply(ended("P", "pub-P"))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P REPLICATION_STOPPED", "P LEFT"]
        ended_there = ReplicaEnded(participant_id="P", replication_id="r", cause=Cause.CLIENT)
        assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=ended_there)]
        assert len(session.session.participants) == 0

    def test_a_publication_with_a_window_pauses_them(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.apply(replicate("P", window_seconds=30))

        decision = session.apply(ended("P", "pub-P"))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P LEFT"]
        paused = ReplicaPaused(participant_id="P", replication_id="r", cause=Cause.CLIENT)
        assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=paused)]

    def test_a_replica_that_is_disconnected_ends_its_replication_at_the_source(self) -> None:
        session = DecidedSession()
        session.apply(replica_arrives("R", "r"))
        session.subscribe("V", "R")

        decision = session.apply(
            ParticipantsDisconnected(participant_ids=("R",), cause=Cause.DISCONNECTED_BY_API, detail="enough")
        )

        assert event_names(decision.events) == ["R PUBLISH_STOPPED", "R LEFT", "V SUBSCRIBE_STOPPED", "V LEFT"]
        ended_there = ReplicationEnded(
            participant_id="R", replication_id="r", cause=Cause.DISCONNECTED_BY_API, detail="enough"
        )
        assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=ended_there)]
        assert [order.replica.state for order in orders_of(decision, WriteReplica)] == [ReplicationState.STOPPED]
        assert orders_of(decision, EndSource) == []
        assert len(session.session.sources) == 0


def test_without_cascade_the_viewers_stay() -> None:
    session = DecidedSession()
    session.publish("P")
    session.subscribe("V", "P")
    draft = Draft(session.session, session.context)

    end_connections(draft, "P", ["pub-P"], cause=Cause.STAGE_DELETED, cascade=False)

    assert event_names(draft.events) == ["P PUBLISH_STOPPED", "P LEFT"]


def test_a_cut_for_a_limit_ends_replications_whatever_their_window_is() -> None:
    session = DecidedSession()
    session.publish("P")
    session.apply(replicate("P", window_seconds=30))
    draft = Draft(session.session, session.context)

    cut_connection(draft, "P", "pub-P", ErrorCode.BITRATE_EXCEEDED)

    assert event_names(draft.events) == [
        "P PUBLISH_ERROR:BITRATE_EXCEEDED",
        "P PUBLISH_STOPPED",
        "P REPLICATION_STOPPED",
        "P LEFT",
    ]
