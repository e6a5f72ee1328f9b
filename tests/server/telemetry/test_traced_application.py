"""Spans of requests: parents, status, streams, websockets and errors; and spans of commits."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stagebook.api.asgi import Application, Message, Receive, Scope, Send
from stagebook.api.request_counts import OPERATION
from stagebook.server.telemetry.commit_spans import CommitSpans
from stagebook.server.telemetry.traced_application import TracedApplication


class Traced:
    """An application with traces, and the spans that have ended."""

    def __init__(self, application: Application) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")
        self._application = TracedApplication(application, self.tracer, route_of=lambda _scope: "/route/{id}")

    async def request(
        self, *, kind: str = "http", path: str = "/secret", headers: Mapping[str, str] | None = None
    ) -> None:
        scope = {
            "type": kind,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        if kind == "http":
            scope["method"] = "GET"
        await self._application(scope, _no_message, _send_nothing)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return tuple(self._exporter.get_finished_spans())

    @property
    def attributes(self) -> dict[str, Any]:
        (span,) = self.spans
        return dict(span.attributes or {})


async def _no_message() -> Message:
    return {}


async def _send_nothing(_message: Message) -> None:
    """Take a message."""


def responding(*messages: Message, operation: str = "GetThing") -> Application:
    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        scope[OPERATION] = operation
        for message in messages:
            await send(message)

    return application


def start(status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": []}


async def test_a_malformed_traceparent_begins_a_new_trace() -> None:
    traced = Traced(responding(start(), {"type": "http.response.body"}))
    for value in ("", "00-0-0-0", "x" * 5_000, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        await traced.request(headers={"traceparent": value})
    assert [span.parent for span in traced.spans] == [None] * 4


async def test_an_answer_above_499_is_an_error() -> None:
    traced = Traced(responding(start(503), {"type": "http.response.body"}))
    await traced.request()
    assert traced.spans[0].status.status_code is trace.StatusCode.ERROR
    assert traced.attributes["error.type"] == "503"


async def test_an_exception_is_named_without_its_message_and_goes_on() -> None:
    async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("a secret")

    traced = Traced(application)
    with pytest.raises(ValueError, match="secret"):
        await traced.request()
    assert traced.attributes["error.type"] == "ValueError"
    assert "secret" not in traced.spans[0].to_json()


async def test_a_stream_ends_its_span_with_the_first_part() -> None:
    ended: list[int] = []

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        scope[OPERATION] = "Tail"
        for message in (start(), {"type": "http.response.body", "body": b"one", "more_body": True}):
            await send(message)
            ended.append(len(traced.spans))
        await send({"type": "http.response.body"})

    traced = Traced(application)
    await traced.request()
    assert ended == [0, 1]
    assert (traced.spans[0].name, traced.attributes["http.response.status_code"]) == ("Tail", 200)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"type": "websocket.accept"}, 101),
        ({"type": "websocket.http.response.start", "status": 401}, 401),
        ({"type": "websocket.close", "code": 1001}, 403),
    ],
)
async def test_the_span_of_a_websocket_is_its_handshake(message: Message, status: int) -> None:
    traced = Traced(responding(message, operation="EventsWebsocket"))
    await traced.request(kind="websocket")
    assert (traced.spans[0].name, traced.attributes["http.response.status_code"]) == ("EventsWebsocket", status)


async def test_a_path_without_an_operation_is_not_shown() -> None:
    traced = Traced(responding(start(404), {"type": "http.response.body"}, operation="Unknown"))
    await traced.request()
    assert (traced.spans[0].name, "http.route" in traced.attributes) == ("GET", False)


async def test_health_and_metrics_have_no_spans() -> None:
    traced = Traced(responding(start(), {"type": "http.response.body"}))
    for path in ("/health", "/metrics"):
        await traced.request(path=path)
    assert traced.spans == ()


async def test_a_commit_belongs_to_the_first_request_and_is_linked_to_the_others() -> None:
    traced = Traced(responding())
    commits = CommitSpans(traced.tracer, system="sqlite", clock_ns=lambda: 5_000_000_000)
    submitters = [commits.submitter()]
    for name in ("one", "two"):
        with traced.tracer.start_as_current_span(name):
            submitters += [commits.submitter(), commits.submitter()]
    submitters.append(submitters[1])
    commits.committed(submitters, transactions=6, seconds=1.5)
    one, two, commit = traced.spans
    assert (commit.parent, [link.context for link in commit.links]) == (one.context, [two.context])
    assert (commit.start_time, commit.end_time) == (3_500_000_000, 5_000_000_000)


async def test_a_commit_of_no_request_begins_a_trace() -> None:
    traced = Traced(responding())
    commits = CommitSpans(traced.tracer, system="postgresql")
    commits.committed([commits.submitter()], transactions=1, seconds=0.1)
    assert (traced.spans[0].parent, traced.spans[0].links) == (None, ())
