"""The header fields `traceparent` and `tracestate` of a request (W3C Trace Context, sections 3.2 and 3.3).

They are checked here and not by the parser of OpenTelemetry, which writes a log line with what it does not understand:
a client could fill the log. A malformed `traceparent` begins a new trace, a malformed `tracestate` is dropped.
"""

import re
from collections.abc import Iterable
from typing import Final

from opentelemetry import context, trace

from stagebook.api.asgi import Header

MAXIMUM_STATE_SIZE_BYTES: Final = 512
"""What a server must be able to pass on (section 3.3.1.5). A longer one is dropped."""
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_FIRST_VERSION: Final = b"00"
_MEMBER: Final = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=([ -+\--<>-~]{0,255}[!-+\--<>-~])")
"""A member of `tracestate`: a name, and printable characters except a comma and an equals sign, no space at the end."""
_MAXIMUM_MEMBERS: Final = 32


def remote_context(headers: Iterable[Header]) -> context.Context:
    """Return the context that a client's header fields name; an empty one without a valid `traceparent`."""
    parents = [value for name, value in headers if name == b"traceparent"]
    match = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if match is None or (match[1] == _FIRST_VERSION and match[5] is not None):
        return context.Context()
    remote = trace.SpanContext(
        trace_id=int(match[2], 16),
        span_id=int(match[3], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(match[4], 16) & trace.TraceFlags.SAMPLED),
        trace_state=_trace_state(b",".join(value for name, value in headers if name == b"tracestate")),
    )
    if not remote.is_valid:
        return context.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), context.Context())


def _trace_state(value: bytes) -> trace.TraceState:
    if len(value) > MAXIMUM_STATE_SIZE_BYTES:
        return trace.TraceState()
    members = [member.strip() for member in value.decode("latin-1").split(",") if member.strip()]
    matches = [_MEMBER.fullmatch(member) for member in members]
    names = {match[1] for match in matches if match is not None}
    if len(members) > _MAXIMUM_MEMBERS or len(names) < len(members):
        return trace.TraceState()
    return trace.TraceState([(match[1], match[2]) for match in matches if match is not None])
