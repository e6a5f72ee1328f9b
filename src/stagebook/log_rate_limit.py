"""A limit for log lines that clients can cause at will, above all clients that have not authenticated themselves.

Without a limit, a client fills the disk with the lines about its own connections. Lines are counted by cause, a fixed
string of the program, and not by address: an attacker has many addresses, and the table must not grow with them. Per
cause, MAX_LINES lines are written in a window of WINDOW_SECONDS. The others are counted, and the first line of a later
window has their number.
"""

from collections.abc import Callable
from typing import Final

MAX_LINES: Final = 10
WINDOW_SECONDS: Final = 60.0


class _Window:
    __slots__ = ("lines", "started_at", "suppressed")

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.lines = 0
        self.suppressed = 0


class LogRateLimit:
    """Decides which lines are written.

    limit = LogRateLimit(clock=time.monotonic)
    if (more := limit.admit("handshake failed")) is not None:
        log.info("handshake failed", address=address, **more)
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        """By cause."""

    def admit(self, cause: str) -> dict[str, int] | None:
        """Count a line. Returns None if it must not be written, otherwise the fields to write with it.

        The fields are `suppressed`, the number of lines of the cause that were not written since the previous line, or
        nothing if there were none. `cause` must not depend on what a client sends.
        """
        now = self._clock()
        window = self._windows.get(cause)
        suppressed = 0
        if window is None or now - window.started_at >= WINDOW_SECONDS:
            suppressed = 0 if window is None else window.suppressed
            window = self._windows[cause] = _Window(now)
        if window.lines == MAX_LINES:
            window.suppressed += 1
            return None
        window.lines += 1
        return {"suppressed": suppressed} if suppressed else {}
