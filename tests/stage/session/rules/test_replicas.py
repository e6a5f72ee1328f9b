"""Replications at their source: which of them end, pause and resume with their publisher, and what is forwarded."""

from msgspec.structs import replace

from stagebook.stage.events import Cause, ReplicationDestination
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CancelTimer, Forward, SetTimer
from stagebook.stage.session.replication_phase import ReplicationPhase
from stagebook.stage.session.rules.replicas import (
    end_replications,
    ending_replications,
    forget_replication,
    pause_replications,
    resume_replications,
    window_timer,
)
from stagebook.stage.session.session_facts import ReplicaEnded, ReplicaPaused, ReplicaResumed, WindowElapsed
from tests.stage.session.decided_session import OTHER_STAGE, START, DecidedSession, replicate


def replicated(*windows_seconds: int) -> Draft:
    """A draft in which P publishes and has a replication for each window: r0, r1 and so on."""
    session = DecidedSession()
    session.publish("P")
    for number, window_seconds in enumerate(windows_seconds):
        fact = replicate("P", f"r{number}", window_seconds=window_seconds)
        session.apply(replace(fact, destination_stage_arn=f"{OTHER_STAGE}{number}"))
    return Draft(session.session, session.context)


def test_replications_without_a_window_end_with_the_publication() -> None:
    publisher = replicated(0, 30).get("P")

    assert ending_replications(publisher, publication_ended=True, cause=Cause.PEER_LOST) == ("r0",)
    assert ending_replications(publisher, publication_ended=False, cause=Cause.PEER_LOST) == ()
    assert ending_replications(publisher, publication_ended=False, cause=Cause.DISCONNECTED_BY_API) == ("r0", "r1")


def test_ended_replications_are_forgotten_and_their_replicas_leave() -> None:
    draft = replicated(0, 30)

    end_replications(draft, "P", ["r0"], cause=Cause.CLIENT, detail="gone")

    ended = ReplicaEnded(participant_id="P", replication_id="r0", cause=Cause.CLIENT, detail="gone")
    assert list(draft.get("P").replications) == ["r1"]
    assert draft.orders == [
        CancelTimer(key="window:r0"),
        Forward(stage_arn=f"{OTHER_STAGE}0", fact=ended),
    ]


def test_forgetting_a_replication_returns_its_destination_and_forwards_nothing() -> None:
    draft = replicated(30)

    assert forget_replication(draft, "P", "r0") == f"{OTHER_STAGE}0"

    assert draft.orders == [CancelTimer(key=window_timer("r0"))]
    assert draft.get("P").replications == {}


def test_a_publisher_that_stops_opens_the_windows() -> None:
    draft = replicated(30)

    pause_replications(draft, "P", cause=Cause.PEER_LOST, detail="lost")

    replication = draft.get("P").replications["r0"]
    assert (replication.phase, replication.deadline_ms) == (ReplicationPhase.AWAITING, START.monotonic_ms + 30_000)
    assert draft.orders == [
        SetTimer(
            key="window:r0",
            due_ms=START.monotonic_ms + 30_000,
            fact=WindowElapsed(participant_id="P", replication_id="r0"),
        ),
        Forward(
            stage_arn=f"{OTHER_STAGE}0",
            fact=ReplicaPaused(participant_id="P", replication_id="r0", cause=Cause.PEER_LOST, detail="lost"),
        ),
    ]


def test_a_window_that_is_open_continues_without_another_order() -> None:
    draft = replicated(30)
    pause_replications(draft, "P", cause=Cause.PEER_LOST, detail=None)
    before = list(draft.orders)

    pause_replications(draft, "P", cause=Cause.NEVER_CONNECTED, detail=None)

    assert draft.orders == before


def test_a_publisher_that_returns_closes_the_windows() -> None:
    draft = replicated(30)
    pause_replications(draft, "P", cause=Cause.PEER_LOST, detail=None)
    draft.orders.clear()

    resume_replications(draft, "P", source_id="new source")

    assert draft.get("P").replications["r0"].phase is ReplicationPhase.LIVE
    assert draft.orders == [
        CancelTimer(key="window:r0"),
        Forward(
            stage_arn=f"{OTHER_STAGE}0",
            fact=ReplicaResumed(participant_id="P", replication_id="r0", source_id="new source"),
        ),
    ]


def test_live_replications_are_not_resumed() -> None:
    draft = replicated(30)

    resume_replications(draft, "P", source_id="source")

    assert draft.orders == []


def test_a_publisher_without_replications_is_not_touched() -> None:
    draft = replicated()

    pause_replications(draft, "P", cause=Cause.CLIENT, detail=None)
    resume_replications(draft, "P", source_id="source")

    assert draft.orders == []
    assert draft.finish().session == draft.base


def test_the_destination_of_a_replication_is_kept_with_it() -> None:
    replication = replicated(30).get("P").replications["r0"]

    assert replication.destination == ReplicationDestination(stage_arn=f"{OTHER_STAGE}0", session_id="st-there")
