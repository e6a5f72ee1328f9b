"""GET /metrics: the state and the counters of the server, for Prometheus."""

import time
from collections.abc import Callable, Iterable

import structlog

from stagebook.api.asgi import Header, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.api.request_counts import OPERATION
from stagebook.api.routes.api_problems import (
    ApiProblemCode,
    ApiRefusedError,
    internal_problem,
    problem_response,
)
from stagebook.api.watch.metrics.metrics_access import MetricsAccess
from stagebook.api.watch.metrics.metrics_text import Collect, write_metrics
from stagebook.error_traceback import drop_traceback
from stagebook.log_rate_limit import LogRateLimit

_NO_STORE: Header = (b"cache-control", b"no-store")
_log = structlog.get_logger(__name__)


class MetricsEndpoint:
    """The ASGI application of `/metrics`."""

    def __init__(
        self,
        collects: Iterable[Collect],
        *,
        access: MetricsAccess,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve what `collects` return, in this order. `monotonic` returns seconds."""
        self._collects = tuple(collects)
        self._access = access
        self._log_limit = LogRateLimit(clock=monotonic)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        scope[OPERATION] = "ReadMetrics"
        try:
            response = await self._serve(scope)
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            response = self._problem(error)
        await send_response(send, response, extra_headers=(_NO_STORE,), is_head=scope["method"] == "HEAD")

    async def _serve(self, scope: Scope) -> HttpResponse:
        if scope["method"] not in {"GET", "HEAD"}:
            raise ApiRefusedError(
                status=405,
                code=ApiProblemCode.METHOD_NOT_ALLOWED,
                detail="use GET",
                headers=((b"allow", b"GET, HEAD"),),
            )
        await self._access.require(scope)
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
        content_type, body = await write_metrics(self._collects, accept.decode("latin-1"))
        return HttpResponse(status=200, headers=((b"content-type", content_type.encode("ascii")),), body=body)

    def _problem(self, error: Exception) -> HttpResponse:
        """Return the response to an error. One that the client did not cause is logged, at a limited rate."""
        response = problem_response(error)
        if response is None:
            if (more := self._log_limit.admit(type(error).__name__)) is not None:
                _log.error("metrics_request_failed", exc_info=error, **more)
            response = internal_problem()
        drop_traceback(error)
        return response
