"""Spans of HTTP requests and of the handshakes of websockets, by the HTTP semantic conventions of OpenTelemetry.

The W3C header fields `traceparent` and `tracestate` make a span part of its client's trace. A span shows the method and
the status, and of a request that names an operation the operation and its path without ids: nothing else that a client
sent, as it may be a secret.
"""

from collections.abc import Callable
from typing import Final

from opentelemetry import context, trace

from stagebook.api.asgi import Application, Message, Receive, Scope, Send
from stagebook.api.request_counts import OPERATION, UNKNOWN_OPERATION
from stagebook.server.telemetry.trace_headers import remote_context

_UNTRACED_PATHS: Final = frozenset(("/health", "/metrics"))
"""Requests of machines that repeat every few seconds."""
_KNOWN_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SWITCHING_PROTOCOLS: Final = 101
_FORBIDDEN: Final = 403
"""What a client sees of a websocket that is closed before it was accepted (ASGI specification)."""


class TracedApplication:
    """An ASGI application that makes a span of each request to another one."""

    def __init__(self, application: Application, tracer: trace.Tracer, *, route_of: Callable[[Scope], str]) -> None:
        """`route_of` returns the path of a request without its ids."""
        self._application = application
        self._tracer = tracer
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in _UNTRACED_PATHS:
            await self._application(scope, receive, send)
            return
        request = _RequestSpan(self._start(scope), scope, send, route=self._route_of(scope))
        token = context.attach(trace.set_span_in_context(request.span))
        try:
            await self._application(scope, receive, request)
        except Exception as error:
            request.fail(type(error).__name__)
            raise
        finally:
            request.end()
            context.detach(token)

    def _start(self, scope: Scope) -> trace.Span:
        method = scope["method"] if scope["type"] == "http" else "GET"
        method = method if method in _KNOWN_METHODS else "_OTHER"
        return self._tracer.start_span(
            method,
            context=remote_context(scope["headers"]),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "url.scheme": scope.get("scheme", "http")},
        )


class _RequestSpan:
    """The `send` of a traced request. It ends the span with the response, or with the first part of a stream."""

    def __init__(self, span: trace.Span, scope: Scope, send: Send, *, route: str) -> None:
        self.span = span
        self._route = route
        self._scope: Scope | None = scope
        """None once the span has ended: a websocket lives longer than its span."""
        self._send = send
        self._status = 0

    async def __call__(self, message: Message) -> None:
        if self._scope is not None:
            self._observe(message)
        await self._send(message)

    def _observe(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
        elif kind == "websocket.accept":
            self._status = _SWITCHING_PROTOCOLS
            self.end()
        elif kind == "websocket.close":
            self._status = self._status or _FORBIDDEN
        elif kind == "http.response.body" and message.get("more_body"):
            self.end()

    def fail(self, error_type: str) -> None:
        """Note an exception of the application."""
        if self._scope is not None:
            self.span.set_attribute("error.type", error_type)
            self.span.set_status(trace.StatusCode.ERROR)

    def end(self) -> None:
        """End the span. A second call does nothing."""
        if self._scope is None:
            return
        operation = self._scope.get(OPERATION)
        self._scope = None
        if operation not in (None, UNKNOWN_OPERATION):
            # Only now: a path that belongs to no operation may be anything that a client made up.
            self.span.update_name(operation)
            self.span.set_attribute("stagebook.operation", operation)
            self.span.set_attribute("http.route", self._route)
        if self._status:
            self.span.set_attribute("http.response.status_code", self._status)
        if self._status >= 500:
            self.span.set_attribute("error.type", str(self._status))
            self.span.set_status(trace.StatusCode.ERROR)
        self.span.end()
