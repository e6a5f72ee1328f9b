"""The ASGI application that serves routes: routing, authentication, validation, and the translation of errors.

A request passes these steps in this order: path, method, credentials, body, query parameters, handler. A handler
authorises, because only it knows the resource. Every refusal is an exception, and `__call__` is the one place that
turns an exception into a response. HEAD is answered as GET, without the body (RFC 9110 section 9.3.2).
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import unquote

import structlog

from stagebook.api.asgi import BOUND_OUTPUT_EXTENSION, Header, ObservedSend, Receive, Scope, Send, read_headers
from stagebook.api.http_body import BodyReader, BodyTimeoutError, BodyTooLargeError, ClientDisconnectedError
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.api.request_counts import OPERATION, UNKNOWN_OPERATION, RequestCounts
from stagebook.api.routes.api_input import check_content_type, read_json, read_query
from stagebook.api.routes.api_problems import (
    ApiProblemCode,
    ApiRefusedError,
    internal_problem,
    problem_response,
)
from stagebook.api.routes.api_route import (
    NOBODY,
    ApiAccess,
    ApiCall,
    ApiCaller,
    ApiResponse,
    ApiRoute,
    ReadBody,
    Role,
    StreamingResponse,
)
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.error_traceback import drop_traceback
from stagebook.log_rate_limit import LogRateLimit

MAXIMUM_REQUESTS = 96
"""Maximum number of requests in progress: fewer than the reads that may wait for a history process, so that the
requests of one key or account cannot fill that queue."""
MAXIMUM_BODY_SIZE_BYTES = 256 * 1_024
BODY_TIMEOUT_SECONDS = 20.0
MAXIMUM_LOGGED_LENGTH = 128
_CLOSE: Header = (b"connection", b"close")
"""A body that is not read completely would be parsed as the next request."""
_PLACEHOLDER = re.compile(r"\\\{(\w+)\\\}")
_log = structlog.get_logger(__name__)


class RouteApi:
    """The ASGI application that serves `routes`, whose paths start with `prefix`."""

    def __init__(
        self,
        *,
        prefix: str,
        routes: Iterable[ApiRoute],
        access: ApiAccess,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        requests: RequestCounts | None = None,
    ) -> None:
        """`requests` counts the requests, whose durations `monotonic` measures in seconds."""
        self.routes = tuple(routes)
        self._prefix = prefix
        self._methods_by_pattern: dict[re.Pattern[str], dict[str, ApiRoute]] = {}
        for route in self.routes:
            self._methods_by_pattern.setdefault(_pattern(route.template), {})[route.method] = route
        self._access = access
        self._bodies = BodyReader(timeout_seconds=body_timeout_seconds)
        self._log_limit = LogRateLimit(clock=monotonic)
        self._requests = requests or RequestCounts("routes")
        self._monotonic = monotonic
        self._places = ReaderPlaces(MAXIMUM_REQUESTS, counted="requests in progress")

    def serves(self, scope: Scope) -> bool:
        """Return whether a request belongs to this API."""
        path: str = scope["path"]
        return scope["type"] == "http" and path.startswith(self._prefix)

    def path_template(self, scope: Scope) -> str:
        """Return the path of a request with its ids replaced by placeholders, so that it can be logged."""
        raw_path = scope["raw_path"].decode("ascii", errors="replace")
        for pattern, methods in self._methods_by_pattern.items():
            if pattern.fullmatch(raw_path):
                return next(iter(methods.values())).template
        return f"{self._prefix}(other)"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        observed = ObservedSend(send)
        started_at = self._monotonic()
        try:
            response = await self._serve(scope, receive)
            if isinstance(response, StreamingResponse):
                await self._send_stream(scope, receive, observed, response)
                return
        except ClientDisconnectedError:
            return
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            response = self._problem(error, scope)
            if observed.status:
                # The response has begun. The HTTP server closes the connection, so the client sees that it is cut.
                return
        seconds = self._monotonic() - started_at
        self._requests.observe(scope.get(OPERATION, UNKNOWN_OPERATION), response.status, seconds)
        no_store: Header = (b"cache-control", b"no-store")
        await send_response(send, response, extra_headers=(no_store,), is_head=scope["method"] == "HEAD")

    async def _serve(self, scope: Scope, receive: Receive) -> ApiResponse:
        route, path = self._find(scope)
        scope[OPERATION] = _operation_name(route, path)
        read_body = _ReadOnce(self._bodies, receive)
        caller: ApiCaller = NOBODY if route.is_public else await self._access.authenticate(scope, read_body)
        headers = read_headers(scope["headers"])
        call = ApiCall(
            caller=caller,
            path=path,
            query=read_query(route.query, scope["query_string"]),
            body=await _read_json(route, headers, read_body),
            headers=headers,
            client_address=str((scope.get("client") or ("",))[0]),
        )
        response = await self._handle(route, call)
        if route.role is Role.OPERATOR:
            self._log_change(route, call, response.status)
        return response

    async def _handle(self, route: ApiRoute, call: ApiCall) -> ApiResponse:
        """Call the handler. A long response has left its place here when it begins."""
        if route.is_public:
            return await route.handle(call)
        place = self._places.take(call.caller)
        try:
            return await route.handle(call)
        finally:
            place.give_back()

    @staticmethod
    def _log_change(route: ApiRoute, call: ApiCall, status: int) -> None:
        _log.info(
            "operator request",
            action=route.action,
            target="/".join(call.path.values())[:MAXIMUM_LOGGED_LENGTH],
            caller=call.caller.name,
            account_id=call.caller.account_id,
            status=status,
        )

    def _find(self, scope: Scope) -> tuple[ApiRoute, Mapping[str, str]]:
        """Return the route of a request and the values of its placeholders; raise ApiRefusedError 404 or 405."""
        # A scope's path is decoded. A placeholder must not match an encoded slash, so the undecoded path is matched.
        raw_path = scope["raw_path"].decode("ascii", errors="replace")
        for pattern, methods in self._methods_by_pattern.items():
            if match := pattern.fullmatch(raw_path):
                method: str = scope["method"]
                route = methods.get("GET" if method == "HEAD" else method)
                if route is None:
                    allow = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
                    raise ApiRefusedError(
                        status=405,
                        code=ApiProblemCode.METHOD_NOT_ALLOWED,
                        detail=f"use {allow}",
                        headers=((b"allow", allow.encode("ascii")),),
                    )
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        raise ApiRefusedError(status=404, code=ApiProblemCode.NOT_FOUND, detail="no such path")

    async def _send_stream(self, scope: Scope, receive: Receive, send: Send, response: StreamingResponse) -> None:
        """Send a response part by part. Its generator is started, and is closed in any case.

        It is counted with its first part, because an error before that becomes another response. Raises
        ClientDisconnectedError when the client closes the connection, also while there is no part to send.
        """
        bound_output = scope.get("extensions", {}).get(BOUND_OUTPUT_EXTENSION)
        if bound_output is not None:
            bound_output()
        async with aclosing(response.parts) as parts:
            part = await anext(parts, None)
            self._requests.count(scope[OPERATION], response.status)
            # The stream may be open for days, and the header fields are not needed any more.
            scope["headers"], scope["query_string"] = (), b""
            await send({"type": "http.response.start", "status": response.status, "headers": list(response.headers)})
            if scope["method"] != "HEAD":
                async with _cancelled_by_disconnect(receive):
                    while part is not None:
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                        part = await anext(parts, None)
        await send({"type": "http.response.body", "body": b""})

    def _problem(self, error: Exception, scope: Scope) -> HttpResponse:
        """Return the response to an error. One that the client did not cause is logged, at a limited rate."""
        response = problem_response(error)
        if response is None:
            if (more := self._log_limit.admit(type(error).__name__)) is not None:
                _log.error("request_failed", path=scope["path"], exc_info=error, **more)
            response = internal_problem()
        drop_traceback(error)
        return response


class _ReadOnce:
    """Reads the body of a request when it is first called, and returns the same bytes afterwards."""

    def __init__(self, bodies: BodyReader, receive: Receive) -> None:
        self._bodies = bodies
        self._receive = receive
        self._body: bytes | None = None

    async def __call__(self) -> bytes:
        if self._body is None:
            try:
                self._body = await self._bodies.read(self._receive, max_size_bytes=MAXIMUM_BODY_SIZE_BYTES)
            except BodyTooLargeError:
                raise ApiRefusedError(
                    status=413,
                    code=ApiProblemCode.TOO_LARGE,
                    detail=f"the body may have at most {MAXIMUM_BODY_SIZE_BYTES} bytes",
                    headers=(_CLOSE,),
                ) from None
            except BodyTimeoutError:
                raise ApiRefusedError(
                    status=408,
                    code=ApiProblemCode.TIMEOUT,
                    detail="the body did not arrive in time",
                    headers=(_CLOSE,),
                ) from None
        return self._body


async def _read_json(route: ApiRoute, headers: Mapping[bytes, bytes], read_body: ReadBody) -> Any:  # noqa: ANN401 - a value of the type of the route's body
    if route.body is None:
        return None
    check_content_type(headers)
    body = await read_body()
    return read_json(route.body, b"{}" if route.is_body_optional and not body else body)


@asynccontextmanager
async def _cancelled_by_disconnect(receive: Receive) -> AsyncGenerator[None, None]:
    """Cancel the block, and raise ClientDisconnectedError instead, when the client closes the connection."""
    task = asyncio.current_task()
    assert task is not None, "an ASGI server calls the application in a task"  # noqa: S101 - for mypy
    disconnect = asyncio.create_task(_wait_for_disconnect(receive, task))
    try:
        yield
    except asyncio.CancelledError:
        # A task that was cancelled for another reason as well stays cancelled.
        if not disconnect.done() or task.uncancel() > 0:
            raise
        raise ClientDisconnectedError from None
    finally:
        disconnect.cancel()


async def _wait_for_disconnect(receive: Receive, task: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _operation_name(route: ApiRoute, path: Mapping[str, str]) -> str:
    """Return the name under which a request is counted: its action, with the values that are listed by the route."""
    listed = [path[name] for name, values in route.path_values.items() if path[name] in values]
    return " ".join((route.action, *listed))


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(_PLACEHOLDER.sub(r"(?P<\1>[^/]+)", re.escape(template)))
