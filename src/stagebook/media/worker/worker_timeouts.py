"""The timeouts and delays of a worker process's supervision, and how they are measured.

A supervisor that measures timeouts by a clock would kill healthy processes after it was stopped itself: when it goes
on, each timer is overdue, while the reports that came in the meantime wait unread in the sockets. An event loop runs
the timers that are due and the sockets that are readable in the same iteration, but in an order that differs between
loops. So a timeout is a number of intervals here. A stop of any length ends at most one of them, and the reports are
read before the next one ends.
"""

import asyncio
import math
from typing import Any

import msgspec


class WorkerTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts and delays of the supervision, in seconds."""

    start_seconds: float = 30.0
    """Maximum time from the start command to the first report that is not a log record. A process imports its modules
    in about a second; a machine that starts many at once needs longer."""
    stop_seconds: float = 5.0
    """Maximum time from Stop to the exit; after it, the process is killed."""
    request_seconds: float = 10.0
    """Maximum time from a request to its reply; after it, the request fails. The process goes on."""
    heartbeat_seconds: float = 1.0
    """Interval at which the server checks that a report arrived, and the unit in which it counts the other timeouts."""
    max_missed_heartbeats: int = 10
    """The process is killed after so many intervals in a row without a report. Intervals are counted, instead of time
    measured, so that a server that was suspended or overloaded itself does not kill its workers."""
    restart_delay_seconds: float = 0.1
    """Delay before the first restart. It doubles with each further restart."""
    max_restart_delay_seconds: float = 5.0
    """The longest delay: a process that crashes at each start costs one start in 5 s."""
    server_timeout_seconds: float | None = None
    """The process exits if the server has not run for so long, for example because it is stopped (SIGSTOP). Set for
    a node, whose accounts another one may have taken over; None for other servers, whose media goes on."""
    stable_run_seconds: float = 10.0
    """A run that lasted longer resets the restart delay."""


class RestartDelay:
    """The delay before each restart: it doubles up to a maximum, and a stable run resets it (exponential backoff)."""

    def __init__(self, timeouts: WorkerTimeouts) -> None:
        self._timeouts = timeouts
        self._seconds = timeouts.restart_delay_seconds

    def after_run(self, run_seconds: float) -> float:
        """Return the delay in seconds after a run of this length."""
        if run_seconds > self._timeouts.stable_run_seconds:
            self._seconds = self._timeouts.restart_delay_seconds
        seconds = self._seconds
        self._seconds = min(2 * seconds, self._timeouts.max_restart_delay_seconds)
        return seconds


async def wait_in_intervals(future: asyncio.Future[Any], *, seconds: float, interval_seconds: float) -> bool:
    """Wait for a future and return whether it is done. It is not cancelled, and its exception is not raised.

    The wait is a count of intervals, rounded up, of which each ends in an iteration of the event loop. While the
    process is stopped no interval ends, so the wait is `seconds` of the time in which the loop ran.
    """
    interval_seconds = min(interval_seconds, seconds)
    for _ in range(math.ceil(seconds / interval_seconds)):
        done, _ = await asyncio.wait([future], timeout=interval_seconds)
        if done:
            return True
    return False
