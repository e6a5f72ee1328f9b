"""The checks of the clock."""

import pytest

from stagebook.diagnosis.clock_checks import ClockFacts, judge_clock, read_clock_facts
from stagebook.diagnosis.finding import Severity

NOW_MS = 1_800_000_000_000
RIGHT = ClockFacts(now_ms=NOW_MS, jump_ms=0, is_adjusted=True, newest_event_ms=NOW_MS - 5_000)


def severities(**changes: object) -> dict[str, Severity]:
    """Return the severity of each finding by its subject."""
    members = {name: getattr(RIGHT, name) for name in RIGHT.__struct_fields__}
    return {finding.subject: finding.severity for finding in judge_clock(ClockFacts(**members | changes))}


def test_a_right_clock_is_fine() -> None:
    assert set(severities().values()) == {Severity.OK}


@pytest.mark.parametrize("now_ms", [0, 1_700_000_000_000, 4_200_000_000_000])
def test_a_clock_of_another_time_is_an_error(now_ms: int) -> None:
    assert severities(now_ms=now_ms, newest_event_ms=None)["wall clock"] is Severity.ERROR


@pytest.mark.parametrize(("jump_ms", "is_found"), [(25, False), (26, True), (-3_600_000, True)])
def test_a_jump_is_found(jump_ms: int, *, is_found: bool) -> None:
    assert ("steadiness" in severities(jump_ms=jump_ms)) is is_found


@pytest.mark.parametrize(("ahead_ms", "severity"), [(1_000, Severity.OK), (1_001, Severity.WARNING)])
def test_a_book_from_the_future_is_found(ahead_ms: int, severity: Severity) -> None:
    assert severities(newest_event_ms=NOW_MS + ahead_ms)["newest event"] is severity


@pytest.mark.parametrize("newest_event_ms", [None, 0])
def test_a_folder_without_events_says_nothing_about_the_clock(newest_event_ms: int | None) -> None:
    assert "newest event" not in severities(newest_event_ms=newest_event_ms)


@pytest.mark.parametrize(("is_adjusted", "severity"), [(True, Severity.OK), (False, Severity.NOTE), (None, None)])
def test_the_word_of_the_kernel_is_passed_on(is_adjusted: bool | None, severity: Severity | None) -> None:  # noqa: FBT001 - a parameter of a test
    assert severities(is_adjusted=is_adjusted).get("time service") is severity


def test_the_clocks_of_this_machine_can_be_read() -> None:
    facts = read_clock_facts(newest_event_ms=None)
    assert facts.now_ms > 1_700_000_000_000
    assert facts.is_adjusted in {True, False, None}
