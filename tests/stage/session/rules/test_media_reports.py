"""What the reports of media engines and the stream timers mean for a session."""

import pytest
from msgspec.structs import replace

from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.limits import STRICT
from stagebook.stage.participant.transitions import ConnectionState
from stagebook.stage.session.orders import (
    CancelTimer,
    CloseConnection,
    CloseRoute,
    EndSource,
    Forward,
    SetTimer,
)
from stagebook.stage.session.session_facts import (
    ConnectionFailed,
    DurationElapsed,
    ReplicaResumed,
    SourceReported,
)
from stagebook.stage.source_limits import Measurement
from tests.stage.session.decided_session import (
    OTHER_STAGE,
    PUBLISHED,
    START,
    DecidedSession,
    changes_nothing,
    connected,
    ended,
    event_names,
    orders_of,
    publish,
    replicate,
)


def failed(participant_id: str, connection_id: str, cause: Cause = Cause.LIMIT) -> ConnectionFailed:
    return ConnectionFailed(
        participant_id=participant_id, connection_id=connection_id, code=ErrorCode.INVALID_INPUT, cause=cause
    )


def measured(
    participant_id: str, connection_id: str, *, bitrate_bps: int = 1, width: int = 640, has_b_frames: bool = False
) -> SourceReported:
    seen = Measurement(bitrate_bps=bitrate_bps, width=width, height=360, has_b_frames=has_b_frames)
    return SourceReported(participant_id=participant_id, connection_id=connection_id, measurement=seen)


class TestTransportConnected:
    @pytest.mark.parametrize(("participant_id", "started"), [("P", "PUBLISH_STARTED"), ("V", "SUBSCRIBE_STARTED")])
    def test_media_starts_and_its_duration_is_limited(self, participant_id: str, started: str) -> None:
        session = DecidedSession(limits=STRICT)
        session.publish("P", "pub-P", connect=False)
        session.subscribe("V", "P", "pub-V", connect=False)

        decision = session.apply(connected(participant_id, f"pub-{participant_id}"))

        assert event_names(decision.events) == [f"{participant_id} {started}"]
        assert orders_of(decision, SetTimer) == [
            SetTimer(
                key=f"duration:pub-{participant_id}",
                due_ms=START.monotonic_ms + STRICT.duration_seconds * 1_000,
                fact=DurationElapsed(participant_id=participant_id, connection_id=f"pub-{participant_id}"),
            )
        ]

    def test_an_offer_that_the_engine_has_not_answered_does_not_start(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        assert changes_nothing(session, connected("P", "one"))

    def test_a_replacement_takes_over_and_the_former_connection_is_closed(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.subscribe("V", "P")
        session.publish("P", "two", connect=False)

        decision = session.apply(connected("P", "two"))

        assert decision.events == ()
        assert orders_of(decision, CloseRoute) == [CloseRoute(connection_id="one")]
        assert orders_of(decision, CancelTimer) == [CancelTimer(key="duration:one")]
        assert orders_of(decision, CloseConnection) == [CloseConnection(connection_id="one")]
        assert orders_of(decision, EndSource) == []
        assert [order.key for order in orders_of(decision, SetTimer)] == ["duration:two"]
        assert dict(session.session.sources["P"].users) == {"two": "P"}
        assert session.names("V") == ["JOINED", "SUBSCRIBE_STARTED"]

    def test_a_superseded_connection_changes_nothing_any_more(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.publish("P", "two")

        for fact in (connected("P", "one"), ended("P", "one"), failed("P", "one"), measured("P", "one")):
            assert changes_nothing(session, fact)

    def test_a_newer_connection_supersedes_an_older_one_that_never_connected(self) -> None:
        session = DecidedSession()
        session.publish("P", "one", connect=False)

        decision = session.publish("P", "two")

        assert event_names(decision.events) == ["P PUBLISH_STARTED"]
        assert list(session.machine("P").connections) == ["two"]
        assert changes_nothing(session, connected("P", "one"))

    def test_a_publisher_that_returns_resumes_its_replications(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.apply(replicate("P", window_seconds=30))
        session.apply(ended("P", "one"))

        decision = session.publish("P", "two")

        resumed = ReplicaResumed(participant_id="P", replication_id="r", source_id="source-two")
        assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=resumed)]
        assert CancelTimer(key="window:r") in decision.orders

    def test_the_first_flowing_stream_shows_the_virtual_participant(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V", connect=False)

        decision = session.apply(connected("X", "enc-X"))

        assert event_names(decision.events) == ["X PUBLISH_STARTED", "V JOINED", "V PUBLISH_STARTED"]

    def test_a_second_stream_does_not_show_it_again(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V")

        decision = session.encode("Y", feeds="V")

        assert event_names(decision.events) == ["Y PUBLISH_STARTED"]

    def test_a_virtual_participant_resumes_its_replications(self) -> None:
        session = DecidedSession()
        session.encode("X", feeds="V")
        session.apply(replicate("V", window_seconds=30))
        session.apply(ended("X", "enc-X"))

        decision = session.encode("Y", feeds="V")

        resumed = ReplicaResumed(participant_id="V", replication_id="r", source_id="source-enc-Y")
        assert orders_of(decision, Forward) == [Forward(stage_arn=OTHER_STAGE, fact=resumed)]


class TestConnectionEnded:
    def test_a_connection_ends_for_the_reported_cause(self) -> None:
        session = DecidedSession()
        session.publish("P")

        decision = session.apply(ended("P", "pub-P", Cause.PEER_LOST))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "P LEFT"]
        assert {entry.event.cause for entry in decision.events} == {Cause.PEER_LOST}

    def test_an_offer_in_progress_is_marked_as_lost_without_an_event(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.apply(ended("P", "one"))

        assert (decision.events, decision.orders) == ((), ())
        assert session.participant("P").attempts["one"].is_lost

    def test_a_replacement_that_never_connects_leaves_the_publication(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.subscribe("V", "P")
        session.publish("P", "two", connect=False)

        decision = session.apply(ended("P", "two", Cause.NEVER_CONNECTED))

        assert decision.events == ()
        assert orders_of(decision, EndSource) == []
        assert session.machine("P").is_publishing
        assert session.names("V") == ["JOINED", "SUBSCRIBE_STARTED"]

    def test_a_publication_that_ends_leaves_the_source_to_its_replacement(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.subscribe("V", "P")
        session.publish("P", "two", connect=False)

        decision = session.apply(ended("P", "one"))

        assert event_names(decision.events) == ["P PUBLISH_STOPPED", "V SUBSCRIBE_STOPPED", "V LEFT"]
        assert orders_of(decision, EndSource) == []
        session.apply(connected("P", "two"))
        assert session.names("P") == [*PUBLISHED, "PUBLISH_STOPPED", "PUBLISH_STARTED"]


class TestConnectionFailed:
    @pytest.mark.parametrize("connect", [False, True])
    def test_the_error_comes_before_the_stop(self, *, connect: bool) -> None:
        session = DecidedSession()
        session.publish("P", connect=connect)

        decision = session.apply(failed("P", "pub-P"))

        stopped = ["P PUBLISH_STOPPED"] if connect else []
        assert event_names(decision.events) == ["P PUBLISH_ERROR:INVALID_INPUT", *stopped, "P LEFT"]

    def test_an_offer_in_progress_is_marked_as_lost_without_an_event(self) -> None:
        session = DecidedSession()
        session.apply(publish("P", "one"))

        decision = session.apply(failed("P", "one"))

        assert decision.events == ()
        assert session.participant("P").attempts["one"].is_lost

    def test_a_failed_subscription_names_its_publisher(self) -> None:
        session = DecidedSession()
        session.publish("P")
        session.subscribe("V", "P")

        decision = session.apply(failed("V", "sub-V", Cause.ENGINE_LOST))

        assert event_names(decision.events) == ["V SUBSCRIBE_ERROR:INVALID_INPUT", "V SUBSCRIBE_STOPPED", "V LEFT"]
        assert [entry.event.remote_participant_id for entry in decision.events] == ["P", "P", None]


class TestDurationElapsed:
    def test_a_stream_that_lasts_too_long_is_cut(self) -> None:
        session = DecidedSession(limits=replace(STRICT, duration_seconds=60))
        session.publish("P")

        decision = session.apply(DurationElapsed(participant_id="P", connection_id="pub-P"))

        assert event_names(decision.events)[0] == "P PUBLISH_ERROR:STREAM_DURATION_EXCEEDED"
        assert decision.events[0].event.detail == "longer than 60 seconds"
        assert orders_of(decision, EndSource)[0].detail == "STREAM_DURATION_EXCEEDED: longer than 60 seconds"

    def test_a_timer_of_a_superseded_connection_changes_nothing(self) -> None:
        session = DecidedSession()
        session.publish("P", "one")
        session.publish("P", "two")

        assert changes_nothing(session, DurationElapsed(participant_id="P", connection_id="one"))


class TestSourceReported:
    @pytest.mark.parametrize(
        ("fact", "code", "detail"),
        [
            (measured("P", "pub-P", width=1_920), "RESOLUTION_EXCEEDED", "1920x360 at 1 bit/s"),
            (measured("P", "pub-P", has_b_frames=True), "B_FRAME_PRESENT", "the video has B-frames"),
        ],
    )
    def test_a_publication_that_breaks_a_limit_is_cut(self, fact: SourceReported, code: str, detail: str) -> None:
        session = DecidedSession(limits=STRICT)
        session.publish("P")

        decision = session.apply(fact)

        assert event_names(decision.events) == [f"P PUBLISH_ERROR:{code}", "P PUBLISH_STOPPED", "P LEFT"]
        assert decision.events[0].event.detail == detail

    def test_seconds_above_the_bitrate_add_up_to_the_window(self) -> None:
        session = DecidedSession(limits=STRICT)
        session.publish("P")
        above = measured("P", "pub-P", bitrate_bps=STRICT.publish_bitrate_bps + 1)
        for _ in range(STRICT.publish_bitrate_window_seconds - 1):
            assert session.apply(above).events == ()

        assert event_names(session.apply(above).events)[0] == "P PUBLISH_ERROR:BITRATE_EXCEEDED"

    def test_a_second_within_the_limits_changes_nothing(self) -> None:
        session = DecidedSession(limits=STRICT)
        session.publish("P")

        assert changes_nothing(session, measured("P", "pub-P"))

    def test_a_stream_is_cut_alone_and_its_virtual_participant_stays(self) -> None:
        session = DecidedSession(limits=STRICT)
        session.encode("X", feeds="V")
        session.encode("Y", feeds="V")

        decision = session.apply(measured("X", "enc-X", has_b_frames=True))

        assert event_names(decision.events) == ["X PUBLISH_ERROR:B_FRAME_PRESENT", "X PUBLISH_STOPPED", "X LEFT"]
        assert session.machine("V").publication_id is not None
        assert orders_of(decision, CloseConnection) == [
            CloseConnection(connection_id="enc-X", detail="B_FRAME_PRESENT: the video has B-frames")
        ]


def test_a_connection_opens_before_it_flows() -> None:
    session = DecidedSession()
    session.publish("P", connect=False)
    assert session.machine("P").connections["pub-P"].state is ConnectionState.OPENING

    session.apply(connected("P", "pub-P"))

    assert session.machine("P").connections["pub-P"].state is ConnectionState.FLOWING
