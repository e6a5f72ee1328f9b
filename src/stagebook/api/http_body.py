"""Reading the body of an HTTP request, within a limit of size and a limit of time.

ASGI delivers a body as one or more `http.request` messages; `more_body` is false in the last one. The size limit is
on the bytes received, because a chunked body declares no length (RFC 9112 section 7.1).
"""

import asyncio
from typing import Any

from stagebook.api.asgi import Message, Receive
from stagebook.stage.errors import ServerBusyError

HELD_LIMIT_BYTES = 64 * 1_024 * 1_024
"""Bytes of incomplete bodies that one reader holds. A body that arrives as a whole does not count. Above the limit, the
read that began first is given up, so that clients that send their bodies slowly cannot keep out the others."""

_SWEEPS_PER_TIMEOUT = 20


class BodyTooLargeError(Exception):
    """The body is above the size limit. Unless `is_complete`, the client is still sending it."""

    def __init__(self, *, is_complete: bool) -> None:
        super().__init__("the body is above the size limit")
        self.is_complete = is_complete


class BodyTimeoutError(Exception):
    """The body was not complete in time."""


class ClientDisconnectedError(Exception):
    """The client closed the connection before the body was complete. There is no one to answer."""


class BodyReader:
    """Reads request bodies, each within `timeout_seconds` plus at most a twentieth of it.

    A timer for each request (`asyncio.timeout`) costs as much as the verification of a signature, and nearly every
    body is already buffered when it is read. So one timer serves all reads: it wakes twenty times per timeout, cancels
    the tasks whose deadline has passed, and runs only while a read is in progress.
    """

    def __init__(self, *, timeout_seconds: float, held_limit_bytes: int = HELD_LIMIT_BYTES) -> None:
        self.timeout_seconds = timeout_seconds
        self._held_limit_bytes = held_limit_bytes
        self._held_bytes = 0
        self._held: dict[asyncio.Task[Any], int] = {}
        """The bytes of each incomplete body, in the order in which they began to arrive."""
        self._given_up: set[asyncio.Task[Any]] = set()
        self._deadlines: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._is_sweep_scheduled = False

    async def read(self, receive: Receive, *, max_size_bytes: int, drain_size_bytes: int = 0) -> bytes:
        """Return the whole body.

        A body above `max_size_bytes` is still received, and discarded, up to `drain_size_bytes`: many clients read the
        response only after they have sent the whole request.

        Raises BodyTooLargeError, BodyTimeoutError and ClientDisconnectedError, and ServerBusyError if it is given up
        because the incomplete bodies of all clients are too large together.
        """
        task = self._start_deadline()
        try:
            message = await receive()
            # The common case, without a list: the whole body is in the first message.
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                if len(body) <= max_size_bytes:
                    return body
            return await self._read_parts(task, message, receive, max_size_bytes, drain_size_bytes)
        except asyncio.CancelledError:
            # A task that was cancelled for another reason as well stays cancelled.
            if task not in self._overdue | self._given_up or task.uncancel() > 0:
                raise
            raise _too_many() if task in self._given_up else BodyTimeoutError() from None
        finally:
            del self._deadlines[task]
            self._overdue.discard(task)
            self._given_up.discard(task)

    def _start_deadline(self) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        assert task is not None, "an ASGI server calls the application in a task"  # noqa: S101 - for mypy
        loop = task.get_loop()
        self._deadlines[task] = loop.time() + self.timeout_seconds
        if not self._is_sweep_scheduled:
            self._schedule_sweep(loop)
        return task

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_sweep_scheduled = True
        loop.call_later(self.timeout_seconds / _SWEEPS_PER_TIMEOUT, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_sweep_scheduled = False
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if deadline <= now and task not in self._overdue and task not in self._given_up:
                self._overdue.add(task)
                task.cancel()
        if self._deadlines:
            self._schedule_sweep(loop)

    async def _read_parts(
        self, task: asyncio.Task[Any], message: Message, receive: Receive, max_size_bytes: int, drain_size_bytes: int
    ) -> bytes:
        """Return the body that begins with `message`."""
        parts: list[bytes] = []
        size_bytes = 0
        try:
            while True:
                if message["type"] != "http.request":
                    raise ClientDisconnectedError
                part = message.get("body", b"")
                size_bytes += len(part)
                if size_bytes <= max_size_bytes:
                    parts.append(part)
                    self._hold(task, len(part))
                is_complete = not message.get("more_body", False)
                if is_complete or size_bytes > max(max_size_bytes, drain_size_bytes):
                    break
                message = await receive()
        finally:
            self._held_bytes -= self._held.pop(task, 0)
        if size_bytes > max_size_bytes:
            raise BodyTooLargeError(is_complete=is_complete)
        return b"".join(parts)

    def _hold(self, task: asyncio.Task[Any], size_bytes: int) -> None:
        """Count bytes of a body. Above the limit, give up the oldest incomplete bodies."""
        self._held[task] = self._held.get(task, 0) + size_bytes
        self._held_bytes += size_bytes
        while self._held_bytes > self._held_limit_bytes:
            oldest = next(iter(self._held))
            self._held_bytes -= self._held.pop(oldest)
            if oldest is task:
                raise _too_many()
            if oldest not in self._overdue:
                self._given_up.add(oldest)
                oldest.cancel()


def _too_many() -> ServerBusyError:
    return ServerBusyError("the server holds too many incomplete requests")
