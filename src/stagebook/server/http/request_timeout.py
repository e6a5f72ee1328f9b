"""The timeout of what an HTTP connection waits for from its client.

A connection waits for one thing at a time, and has one timer:

    FIRST_BYTE     a new connection has sent nothing yet
    REQUEST        the rest of a request
    LATE_BODY      the same, after the request timeout: the application gets a little longer to answer 408 itself
    LAST_BYTES     what the client still sends after the last response, before the connection is closed

Between two requests no timer of this kind runs; the connection has the keep-alive timeout for that.
"""

import asyncio
import enum
from collections.abc import Callable

LINGER_SECONDS = 2.0
LATE_BODY_FACTOR = 0.25
"""The further time of an incomplete body, as a part of the request timeout. The APIs have a timeout of their own, which
ends at most a twentieth later than the request timeout, and answer in their own format."""


class AwaitedInput(enum.Enum):
    """What the client has to send in time."""

    FIRST_BYTE = enum.auto()
    REQUEST = enum.auto()
    LATE_BODY = enum.auto()
    LAST_BYTES = enum.auto()


class RequestTimeout:
    """The timer of one connection."""

    __slots__ = ("_awaited", "_loop", "_request_seconds", "_timer")

    def __init__(self, *, loop: asyncio.AbstractEventLoop, request_seconds: float) -> None:
        self._loop = loop
        self._request_seconds = request_seconds
        self._awaited: AwaitedInput | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_request_awaited(self) -> bool:
        """Whether the time of a request runs."""
        return self._awaited in (AwaitedInput.REQUEST, AwaitedInput.LATE_BODY)

    def start(self, awaited: AwaitedInput, on_timeout: Callable[[AwaitedInput], None]) -> None:
        """Wait for this from now on, and for nothing else.

        `on_timeout` is called with it when its time is over; nothing is awaited then. Only the running timer refers to
        the callback: a connection that waits for nothing leaves no reference cycle behind.
        """
        self.stop()
        self._awaited = awaited
        self._timer = self._loop.call_later(self._seconds(awaited), self._expire, on_timeout)

    def stop(self) -> None:
        """Wait for nothing."""
        self._awaited = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _seconds(self, awaited: AwaitedInput) -> float:
        if awaited is AwaitedInput.LAST_BYTES:
            return LINGER_SECONDS
        return self._request_seconds * (LATE_BODY_FACTOR if awaited is AwaitedInput.LATE_BODY else 1.0)

    def _expire(self, on_timeout: Callable[[AwaitedInput], None]) -> None:
        awaited = self._awaited
        self._awaited = self._timer = None
        if awaited is not None:
            on_timeout(awaited)
