"""Spans of the commits of the book.

A commit belongs to several requests: the transactions that were submitted while the one before it ran. Its span is a
child of the request that came first, and is linked to the others. A transaction that no request caused, such as one of
a timer or a media engine, has a span without a parent.
"""

import time
from collections.abc import Callable

from opentelemetry import context, trace


class CommitSpans:
    """Implements `CommitObserver`. `clock_ns` returns nanoseconds since 1970.

    `system` names the database as OpenTelemetry's attribute `db.system.name` does.
    """

    def __init__(self, tracer: trace.Tracer, *, system: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._tracer = tracer
        self._system = system
        self._clock_ns = clock_ns

    def submitter(self) -> trace.SpanContext:
        """Return the span of the task that is submitting a transaction."""
        return trace.get_current_span().get_span_context()

    def committed(self, submitters: list[trace.SpanContext], *, transactions: int, seconds: float) -> None:
        """Make the span of a commit, which ends now."""
        by_id: dict[int, trace.SpanContext] = {}
        for submitter in submitters:
            if submitter.is_valid:
                by_id.setdefault(submitter.span_id, submitter)
        requests = list(by_id.values())
        first = trace.NonRecordingSpan(requests[0]) if requests else trace.INVALID_SPAN
        end_ns = self._clock_ns()
        span = self._tracer.start_span(
            "COMMIT book",
            context=trace.set_span_in_context(first, context.Context()),
            kind=trace.SpanKind.CLIENT,
            attributes={
                "db.system.name": self._system,
                "db.operation.name": "COMMIT",
                "stagebook.transactions": transactions,
            },
            links=[trace.Link(request) for request in requests[1:]],
            start_time=end_ns - round(seconds * 1e9),
        )
        span.end(end_ns)
