"""Calls that must not stop each other: the timers of the sources and connections of one forwarder.

One tick serves all of them, in a loop. An exception in one call, from a bug that one client has met, would skip the
rest of the loop in this tick and in every later one, so that all connections of the process would miss their NACKs,
reports and timeouts. Each call therefore fails for itself. It is logged with its traceback, a limited number of times:
a call that fails once will probably fail in each tick.
"""

from collections.abc import Callable
from typing import ParamSpec

import structlog

from stagebook.log_rate_limit import LogRateLimit

P = ParamSpec("P")

_log = structlog.get_logger(__name__)


class FaultIsolation:
    """Makes calls, and logs those that raise."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._log_limit = LogRateLimit(clock=clock)

    def call(self, cause: str, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Call a function with these arguments. Returns False if it raised an Exception, which is logged and dropped.

        `cause` names the kind of call. It is the key of the log's rate limit, so it must not come from a client.
        """
        try:
            function(*args, **kwargs)
        except Exception:  # noqa: BLE001 - the purpose of this class
            suppressed = self._log_limit.admit(cause)
            if suppressed is not None:
                _log.exception("a media timer failed", timer=cause, **suppressed)
            return False
        return True
