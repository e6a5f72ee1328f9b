"""The traces of a server, sent in batches by OTLP over HTTP.

Spans wait in a queue of the SDK, which drops them when it is full. A thread of the SDK sends them, so a receiver that
is slow or not reached delays no request.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from stagebook.api.asgi import Application, Scope
from stagebook.log_rate_limit import LogRateLimit
from stagebook.server.telemetry.commit_spans import CommitSpans
from stagebook.server.telemetry.traced_application import TracedApplication

CLOSE_SECONDS = 3.0
"""How long the server waits for its last spans to be sent when it stops."""
_UNKNOWN_SERVICE = "unknown_service"


class OtlpTraces:
    """Implements `Traces` with the OpenTelemetry SDK, without its global state."""

    def __init__(self, endpoint: str | None, *, version: str) -> None:
        """`endpoint` is the base URL of a receiver; None uses the environment variables of the SDK."""
        url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_LineLimit())
        self._provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer = self._provider.get_tracer("stagebook", version)

    def commits(self, *, system: str) -> CommitSpans:
        """As Traces.commits."""
        return CommitSpans(self._tracer, system=system)

    def traced(self, application: Application, *, route_of: Callable[[Scope], str]) -> Application:
        """As Traces.traced."""
        return TracedApplication(application, self._tracer, route_of=route_of)

    async def close(self) -> None:
        """As Traces.close."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(closed.set)

        # A daemon thread of its own: the SDK tries for up to half a minute to reach a receiver, and a thread of the
        # event loop's pool would be waited for.
        threading.Thread(target=shut_down, name="stagebook-traces-close", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed.wait(), CLOSE_SECONDS)


class _LineLimit(logging.Filter):
    """Limits the lines about a receiver that cannot be reached: the SDK writes one for each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = LogRateLimit(clock=time.monotonic)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is to be written."""
        return self._limit.admit(record.name) is not None


def _resource(version: str) -> Resource:
    """Return what the spans are about. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first."""
    named = Resource.create({SERVICE_VERSION: version})
    if str(named.attributes.get(SERVICE_NAME, "")).startswith(_UNKNOWN_SERVICE):
        return named.merge(Resource({SERVICE_NAME: "stagebook"}))
    return named
