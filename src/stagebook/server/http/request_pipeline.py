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
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from stagebook.api.asgi import Application
from stagebook.server.http.request_decoder import BodyPart

PIPELINE_LIMIT = 8
"""Maximum number of parsed requests that wait for the responses before theirs."""

_log = logging.getLogger("uvicorn.error")


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
        # Newest first.
        self._waiting: collections.deque[tuple[RequestResponseCycle, Application]] = collections.deque()

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait as are allowed."""
        return len(self._waiting) >= PIPELINE_LIMIT

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
    ) -> None:
        """Serve a request after those before it. Without `keep_alive`, its response ends the connection."""
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
            self._serve(cycle, application)
        else:
            self._waiting.appendleft((cycle, application))

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

    def _serve(self, cycle: RequestResponseCycle, application: Any) -> None:  # noqa: ANN401 - uvicorn's own type
        self._served = cycle
        task = self._loop.create_task(cycle.run_asgi(application))
        task.add_done_callback(self._server_state.tasks.discard)
        self._server_state.tasks.add(task)

    def withdraw_newest(self) -> bool:
        """End the newest request, whose body cannot be received. Return False if its response has begun."""
        cycle = self._newest
        if cycle is None:
            return True
        if self._waiting and self._waiting[0][0] is cycle:
            self._waiting.popleft()
            cycle.response_complete = True
        elif cycle.response_started:
            return False
        else:
            # The application gets `http.disconnect`, and what it sends is dropped.
            cycle.disconnected = True
            cycle.message_event.set()
        if self._waiting:
            self._newest = self._waiting[0][0]
        else:
            self._newest = None if self._served is cycle else self._served
        return True

    def end_after_newest(self) -> None:
        """Let the response to the newest request end the connection."""
        if self._newest is not None:
            self._newest.keep_alive = False

    def disconnect(self) -> None:
        """Notify the requests that are not answered that the client has gone."""
        for cycle in (self._served, self._newest):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._waiting.clear()
