"""The life of a replication: it waits for its publisher as long as its window, and ends once."""

import pytest

from stagebook.stage.events import Cause
from stagebook.stage.session.replication_phase import (
    FOR_GOOD,
    PHASES,
    Phase,
    Replication,
    Turn,
    ends_with,
    is_due,
    over,
    publisher_returned,
    publisher_stopped,
)

LIVE = Replication(window_seconds=30)
WITHOUT_WINDOW = Replication(window_seconds=0)


def test_a_publisher_that_stops_is_waited_for_as_long_as_the_window_is() -> None:
    waiting = publisher_stopped(LIVE, at_ms=1_000)

    assert waiting.phase is Phase.AWAITING
    assert not is_due(waiting, now_ms=30_999)
    assert is_due(waiting, now_ms=31_000)


def test_a_second_stop_does_not_lengthen_the_window() -> None:
    waiting = publisher_stopped(LIVE, at_ms=1_000)

    assert publisher_stopped(waiting, at_ms=20_000) == waiting


def test_a_publisher_that_returns_gets_a_new_window_with_its_next_stop() -> None:
    back = publisher_returned(publisher_stopped(LIVE, at_ms=1_000))

    assert back == LIVE
    assert publisher_stopped(back, at_ms=50_000).deadline_ms == 80_000


def test_one_that_is_live_or_over_is_never_due() -> None:
    assert not is_due(LIVE, now_ms=10**15)
    assert not is_due(over(publisher_stopped(LIVE, at_ms=0)), now_ms=10**15)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in FOR_GOOD and cause is not Cause.LIMIT])
def test_whether_it_ends_with_the_publication_is_the_window_s_matter(cause: Cause) -> None:
    assert ends_with(WITHOUT_WINDOW, publication_ended=True, cause=cause)
    assert not ends_with(LIVE, publication_ended=True, cause=cause)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in FOR_GOOD])
def test_it_goes_on_when_something_else_of_its_source_ends(cause: Cause) -> None:
    assert not ends_with(WITHOUT_WINDOW, publication_ended=False, cause=cause)


@pytest.mark.parametrize("publication_ended", [False, True])
@pytest.mark.parametrize("cause", sorted(FOR_GOOD))
def test_who_is_gone_for_good_is_not_waited_for(cause: Cause, publication_ended: bool) -> None:  # noqa: FBT001 - a case
    assert ends_with(LIVE, publication_ended=publication_ended, cause=cause)


def test_a_publication_that_broke_a_limit_is_not_waited_for() -> None:
    assert ends_with(LIVE, publication_ended=True, cause=Cause.LIMIT)


def test_nothing_leads_out_of_the_end() -> None:
    ended = over(LIVE)
    for turn in (over, publisher_returned):
        with pytest.raises(KeyError):
            turn(ended)
    with pytest.raises(KeyError):
        publisher_stopped(ended, at_ms=0)
    assert not [turn for (phase, turn) in PHASES if phase is Phase.ENDED]


def test_one_that_is_live_cannot_return() -> None:
    assert (Phase.LIVE, Turn.PUBLISHER_RETURNED) not in PHASES
    with pytest.raises(KeyError):
        publisher_returned(LIVE)
