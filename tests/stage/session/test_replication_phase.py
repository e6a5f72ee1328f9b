"""The phases of a replication: it waits for its publisher as long as its window, and ends once."""

import pytest

from stagebook.stage.clock import Instant
from stagebook.stage.events import Cause, ReplicationDestination
from stagebook.stage.session.replication_phase import (
    FINAL_CAUSES,
    REPLICATION_PHASES,
    Replication,
    ReplicationPhase,
    ReplicationTurn,
    ends_with,
    publisher_returned,
    publisher_stopped,
)

THERE = ReplicationDestination(stage_arn="there", session_id="st-there")
LIVE = Replication(destination=THERE, window_seconds=30)
WITHOUT_WINDOW = Replication(destination=THERE, window_seconds=0)


def at(monotonic_ms: int, *, wall_ms: int = 0) -> Instant:
    return Instant(wall_ms=wall_ms, monotonic_ms=monotonic_ms)


def test_a_replication_waits_for_its_publisher_as_long_as_its_window() -> None:
    awaiting = publisher_stopped(LIVE, at=at(1_000))

    assert awaiting.phase is ReplicationPhase.AWAITING
    assert awaiting.deadline_ms == 31_000


def test_the_window_is_measured_on_the_monotonic_clock() -> None:
    assert publisher_stopped(LIVE, at=at(1_000, wall_ms=1_700_000_000_000)).deadline_ms == 31_000


def test_a_second_stop_does_not_extend_the_window() -> None:
    awaiting = publisher_stopped(LIVE, at=at(1_000))

    assert publisher_stopped(awaiting, at=at(20_000)) == awaiting


def test_a_publisher_that_returned_gets_a_new_window_with_its_next_stop() -> None:
    returned = publisher_returned(publisher_stopped(LIVE, at=at(1_000)))

    assert returned == LIVE
    assert publisher_stopped(returned, at=at(50_000)).deadline_ms == 80_000


def test_a_live_replication_has_no_deadline() -> None:
    assert LIVE.deadline_ms is None
    assert publisher_returned(publisher_stopped(LIVE, at=at(0))).deadline_ms is None


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in FINAL_CAUSES and cause is not Cause.LIMIT])
def test_the_window_decides_whether_a_replication_ends_with_its_publication(cause: Cause) -> None:
    assert ends_with(WITHOUT_WINDOW, publication_ended=True, cause=cause)
    assert not ends_with(LIVE, publication_ended=True, cause=cause)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in FINAL_CAUSES])
def test_a_replication_continues_when_another_connection_of_its_publisher_ends(cause: Cause) -> None:
    assert not ends_with(WITHOUT_WINDOW, publication_ended=False, cause=cause)


@pytest.mark.parametrize("publication_ended", [False, True])
@pytest.mark.parametrize("cause", sorted(FINAL_CAUSES))
def test_a_replication_does_not_wait_after_a_final_cause(
    cause: Cause,
    publication_ended: bool,  # noqa: FBT001 - a case
) -> None:
    assert ends_with(LIVE, publication_ended=publication_ended, cause=cause)


def test_a_replication_does_not_wait_for_a_publication_that_broke_a_limit() -> None:
    assert ends_with(LIVE, publication_ended=True, cause=Cause.LIMIT)


def test_nothing_leads_out_of_ended() -> None:
    ended = Replication(destination=THERE, window_seconds=30, phase=ReplicationPhase.ENDED)

    assert not [turn for (phase, turn) in REPLICATION_PHASES if phase is ReplicationPhase.ENDED]
    with pytest.raises(KeyError):
        publisher_returned(ended)
    with pytest.raises(KeyError):
        publisher_stopped(ended, at=at(0))


@pytest.mark.parametrize("phase", [ReplicationPhase.LIVE, ReplicationPhase.AWAITING])
def test_every_running_replication_can_end(phase: ReplicationPhase) -> None:
    assert REPLICATION_PHASES[phase, ReplicationTurn.OVER] is ReplicationPhase.ENDED


def test_a_live_publisher_cannot_return() -> None:
    assert (ReplicationPhase.LIVE, ReplicationTurn.PUBLISHER_RETURNED) not in REPLICATION_PHASES
    with pytest.raises(KeyError):
        publisher_returned(LIVE)
