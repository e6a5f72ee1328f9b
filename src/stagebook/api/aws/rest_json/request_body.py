"""The body of a request, read within bounds of size and time.

Knows ASGI's receiving half; nothing of JSON and of operations.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.rest_json.header_members import CLOSE_CONNECTION

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

MAXIMUM_SIZE_BYTES = 256 * 1_024
DRAIN_SIZE_BYTES = 2 * 1_024 * 1_024
"""A body that is too large is still read up to here, because clients look at the answer only after sending."""

_SWEEPS_PER_TIMEOUT = 20


class ClientGoneError(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


class BodyReader:
    """Reads bodies, each within `timeout_seconds` (and at most a twentieth more).

    Nearly every body is there when it is asked for, and a timer of its own (`asyncio.timeout`) costs as much as
    verifying a signature. So one timer watches all readers, and runs only while there are any.
    """

    def __init__(self, *, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._deadlines: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._sweep_is_due = False

    async def read(self, receive: Receive) -> bytes:
        """Return the request's body.

        Raises AwsError: RequestEntityTooLarge above MAXIMUM_SIZE_BYTES, RequestTimeout when it is not complete in
        time; ClientGoneError when the client goes away first.
        """
        task = self._watch()
        try:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                if len(body) <= MAXIMUM_SIZE_BYTES:
                    return body
            return await _read_rest(message, receive)
        except asyncio.CancelledError:
            if task not in self._overdue or task.uncancel() > 0:
                raise
            raise AwsError(
                ErrorType.REQUEST_TIMEOUT,
                f"The body of the request was not complete after {self._timeout_seconds:g} seconds.",
                headers=(CLOSE_CONNECTION,),
            ) from None
        finally:
            del self._deadlines[task]
            self._overdue.discard(task)

    def _watch(self) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        assert task is not None, "requests are answered in tasks"  # noqa: S101 - a rule of ASGI servers, for mypy
        loop = task.get_loop()
        self._deadlines[task] = loop.time() + self._timeout_seconds
        if not self._sweep_is_due:
            self._schedule_sweep(loop)
        return task

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep_is_due = True
        loop.call_later(self._timeout_seconds / _SWEEPS_PER_TIMEOUT, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep_is_due = False
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if deadline <= now and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        if self._deadlines:
            self._schedule_sweep(loop)


async def _read_rest(message: Message, receive: Receive) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        if message["type"] != "http.request":
            raise ClientGoneError
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes <= MAXIMUM_SIZE_BYTES:
            parts.append(part)
        complete = not message.get("more_body", False)
        if complete or size_bytes > DRAIN_SIZE_BYTES:
            break
        message = await receive()
    if size_bytes > MAXIMUM_SIZE_BYTES:
        raise AwsError(
            ErrorType.REQUEST_ENTITY_TOO_LARGE,
            f"The body of a request can have at most {MAXIMUM_SIZE_BYTES} bytes.",
            headers=() if complete else (CLOSE_CONNECTION,),
        )
    return b"".join(parts)
