"""The wall clock: it dates events, tokens, signatures and certificates. Nothing here needs a time zone: all is UTC.

Whether the clock is right cannot be known without another one. These checks find clocks that cannot be right, jump, or
are behind the book; and what the kernel says about the service that adjusts it (adjtimex(2)).
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from stagebook.diagnosis.finding import Finding, Severity
from stagebook.stage.timestamps import iso8601

CHECK = "clock"
EARLIEST_YEAR, LATEST_YEAR = 2026, 2100
SAMPLE_SECONDS = 0.05
MAXIMUM_JUMP_MS = 25
"""More than scheduling delays between two reads of a clock, and less than a jump that matters."""
FUTURE_MARGIN_MS = 1_000
_TIMEX_SIZE_BYTES = 512
_TIME_ERROR = 5


class ClockFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The wall clock in milliseconds since the epoch, and what it can be compared with.

    `jump_ms` is how much further the wall clock went than the monotonic clock in a short time. `is_adjusted` is None if
    the system does not say whether a time service adjusts the clock, `newest_event_ms` without a book.
    """

    now_ms: int
    jump_ms: int
    is_adjusted: bool | None
    newest_event_ms: int | None


def read_clock_facts(*, newest_event_ms: int | None) -> ClockFacts:
    """Read the clocks. Takes SAMPLE_SECONDS."""
    before = time.time_ns() - time.monotonic_ns()
    time.sleep(SAMPLE_SECONDS)
    after = time.time_ns() - time.monotonic_ns()
    return ClockFacts(
        now_ms=time.time_ns() // 1_000_000,
        jump_ms=(after - before) // 1_000_000,
        is_adjusted=_is_adjusted(),
        newest_event_ms=newest_event_ms,
    )


def _is_adjusted() -> bool | None:
    if sys.platform != "linux":
        return None
    try:
        # With modes = 0, adjtimex changes nothing; its result is the state of the clock.
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _TIME_ERROR)


def judge_clock(facts: ClockFacts) -> Iterator[Finding]:
    """Yield the findings about the clock."""
    now = iso8601(facts.now_ms)
    year = datetime.fromtimestamp(facts.now_ms / 1_000, UTC).year
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        yield _finding(
            "wall clock",
            Severity.ERROR,
            f"{now}, which cannot be right",
            "tokens and AWS signatures are refused, and events keep this time permanently",
            "set the clock, for example with `timedatectl set-ntp true`, before the server starts",
        )
    else:
        yield _finding("wall clock", Severity.OK, now)
    if abs(facts.jump_ms) > MAXIMUM_JUMP_MS:
        yield _finding(
            "steadiness",
            Severity.WARNING,
            f"it jumped by {facts.jump_ms} ms while it was watched",
            "times of events differ from those of other machines while it jumps",
            "let one time service adjust it in small steps, and no other program set it",
        )
    if facts.is_adjusted is False:
        yield _finding(
            "time service",
            Severity.NOTE,
            "the kernel says that no time service adjusts the clock",
            "after weeks it may differ by seconds, and from 5 minutes on AWS clients are refused",
            "run systemd-timesyncd, chrony or ntpd here, or on the host of this container",
        )
    elif facts.is_adjusted:
        yield _finding("time service", Severity.OK, "adjusts the clock")
    yield from _judge_book(facts)


def _judge_book(facts: ClockFacts) -> Iterator[Finding]:
    newest_ms = facts.newest_event_ms
    if newest_ms is not None and newest_ms > facts.now_ms + FUTURE_MARGIN_MS:
        yield _finding(
            "newest event",
            Severity.WARNING,
            f"{iso8601(newest_ms)} is {(newest_ms - facts.now_ms) / 1_000:,.0f} s in the future",
            "new events are never dated before it, so their times are wrong until the clock has caught up",
            "correct the clock; after a run with --testing, or a book of another machine, use another data folder",
        )
    elif newest_ms:
        yield _finding("newest event", Severity.OK, f"{iso8601(newest_ms)}, in the past")


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
