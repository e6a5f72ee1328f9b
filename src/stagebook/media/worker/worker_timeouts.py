"""The timeouts and delays of a worker process's supervision."""

import msgspec


class WorkerTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts and delays of the supervision, in seconds."""

    start_seconds: float = 30.0
    """Maximum time from the start command to the first report that is not a log record."""
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
    stable_run_seconds: float = 10.0
    """A run that lasted longer resets the restart delay."""
