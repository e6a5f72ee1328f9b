"""The requests of one HTTP connection: served one at a time, in the order in which they arrived.

A client may send further requests before it has the response to the first (RFC 9112 section 9.3.2). They wait here:

    newest  ->  waiting ... waiting  ->  served  ->  response
    its body arrives    PIPELINE_LIMIT

A request is uvicorn's `RequestResponseCycle`, the ASGI side of it. Whether the connection goes on after a response is
up to its owner, which calls `serve_next` if it does.
"""

import asyncio
import collections
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from stagebook.api.asgi import Application
from stagebook.server.http.request_decoder import BodyPart

PIPELINE_LIMIT = 8
"""Maximum number of parsed requests that wait for the responses before theirs."""

_ANSWERED: Any = {"method": "", "headers": []}
"""The ASGI scope of an answered request, in place of its own."""

_log = logging.getLogger("uvicorn.error")


class _WaitingRequest(NamedTuple):
    cycle: RequestResponseCycle
    application: Application
    head_bytes: int


class RequestPipeline:
    """The request that is being served, those that wait, and the one whose body arrives.

    `transport` and `flow` are what a request may use of its connection. `on_response` is called after each complete
    response, unless the request was withdrawn.
    """

    def __init__(
        self,
        *,
        transport: Any,  # noqa: ANN401 - the part of asyncio.Transport that a request uses
        flow: FlowControl,
        server_state: ServerState,
        loop: asyncio.AbstractEventLoop,
        on_response: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flow = flow
        self._server_state = server_state
        self._loop = loop
        self._on_response = on_response
        self._newest: RequestResponseCycle | None = None
        self._served: RequestResponseCycle | None = None
        self._served_head_bytes = 0
        # Newest first.
        self._waiting: collections.deque[_WaitingRequest] = collections.deque()

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait as are allowed."""
        return len(self._waiting) >= PIPELINE_LIMIT

    @property
    def has_waiting(self) -> bool:
        """Whether a request waits."""
        return bool(self._waiting)

    @property
    def held_bytes(self) -> int:
        """The size of what the requests without a response hold: their heads, and the body that is not taken."""
        waiting_bytes = sum(waiting.head_bytes for waiting in self._waiting)
        body_bytes = 0 if self._newest is None else len(self._newest.body)
        return self._served_head_bytes + waiting_bytes + body_bytes

    @property
    def is_answered(self) -> bool:
        """Whether every request has its response."""
        return self._newest is None or self._newest.response_complete

    @property
    def is_newest_served(self) -> bool:
        """Whether no request has arrived after the one that is being served."""
        return self._served is self._newest

    @property
    def is_ending(self) -> bool:
        """Whether the response to the newest request ends the connection, so that no request may follow it."""
        return self._newest is not None and not self._newest.keep_alive

    @property
    def is_body_full(self) -> bool:
        """Whether the newest request has as much of its body as the application may leave unread."""
        cycle = self._newest
        return cycle is not None and not cycle.response_complete and len(cycle.body) > HIGH_WATER_LIMIT

    @property
    def is_continue_offered(self) -> bool:
        """Whether the client of the newest request waits for 100 (Continue) before it sends the body."""
        return self._newest is not None and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self._newest.scope["headers"]
        )

    def add(
        self,
        scope: Any,  # noqa: ANN401 - uvicorn has a type of its own for ASGI's dictionary
        application: Application,
        *,
        keep_alive: bool,
        expects_continue: bool = False,
        head_bytes: int = 0,
    ) -> None:
        """Serve a request after those before it. Without `keep_alive`, its response ends the connection.

        `head_bytes` is the size of its head.
        """
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self._transport,
            flow=self._flow,
            logger=_log,
            access_logger=_log,
            access_log=False,
            default_headers=self._server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects_continue,
            keep_alive=keep_alive,
            on_response=self._on_response,
        )
        previous, self._newest = self._newest, cycle
        if previous is None or previous.response_complete:
            self._serve(cycle, application, head_bytes)
        else:
            self._waiting.appendleft(_WaitingRequest(cycle, application, head_bytes))

    def add_body(self, part: BodyPart) -> None:
        """Give a part of its body to the newest request, unless that has its response already."""
        cycle: Any = self._newest  # not None, as a body follows a head
        if part.data and not cycle.response_complete:
            cycle.body += part.data
        if part.is_last:
            cycle.more_body = False
        cycle.message_event.set()

    def serve_next(self) -> bool:
        """Serve the request that has waited the longest; return False if none waits."""
        if not self._waiting:
            return False
        self._serve(*self._waiting.pop())
        return True

    def release_served(self) -> None:
        """Free what the answered request holds. Its connection may stay open for a long time without another one."""
        self._served_head_bytes = 0
        if self._served is not None:
            self._served.scope = _ANSWERED
            self._served.body = bytearray()

    def drop_waiting(self) -> None:
        """Forget the requests that wait. They get no response."""
        self._waiting.clear()
        self._newest = self._served

    def _serve(
        self,
        cycle: RequestResponseCycle,
        application: Any,  # noqa: ANN401 - uvicorn's own type
        head_bytes: int,
    ) -> None:
        self._served = cycle
        self._served_head_bytes = head_bytes
        self._transport.begin_response()
        task = self._loop.create_task(cycle.run_asgi(application))
        task.add_done_callback(self._server_state.tasks.discard)
        self._server_state.tasks.add(task)

    def withdraw_newest(self) -> bool:
        """End the newest request, whose body cannot be received. Return False if its response has begun."""
        cycle = self._newest
        if cycle is None:
            return True
        if self._waiting and self._waiting[0].cycle is cycle:
            self._waiting.popleft()
            cycle.response_complete = True
        elif cycle.response_started:
            return False
        else:
            # The application gets `http.disconnect`, and what it sends is dropped.
            cycle.disconnected = True
            cycle.message_event.set()
        if self._waiting:
            self._newest = self._waiting[0].cycle
        else:
            self._newest = None if self._served is cycle else self._served
        return True

    def end_after_newest(self) -> None:
        """Let the response to the newest request end the connection."""
        if self._newest is not None:
            self._newest.keep_alive = False

    def disconnect(self) -> None:
        """Notify the requests that are not answered that the client has gone, and release everything."""
        for cycle in (self._served, self._newest):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._waiting.clear()
        self._served = self._newest = None
        self._on_response = _do_nothing


def _do_nothing() -> None:
    """The place of a callback that is not needed any more, so that its owner can be freed."""
