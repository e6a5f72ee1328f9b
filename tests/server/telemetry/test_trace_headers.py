"""The W3C header fields of a trace: what is honoured, and that nothing that a client sends is logged."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

from stagebook.server.telemetry.trace_headers import remote_context

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()
NAMES = st.sampled_from([b"traceparent", b"tracestate", b"other"])
VALUES = st.one_of(
    st.binary(max_size=200),
    st.just(PARENT),
    st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?", fullmatch=True),
    st.sampled_from([b"a=1,b=2", b"=" * 100, b"a" * 600 + b"=1", b"k=v," * 200]),
)


def remote(*headers: tuple[bytes, bytes]) -> trace.SpanContext:
    return trace.get_current_span(remote_context(headers)).get_span_context()


@pytest.mark.parametrize("parent", [PARENT, b" " + PARENT, PARENT.replace(b"00-", b"cc-", 1) + b"-later"])
def test_a_valid_parent_is_honoured(parent: bytes) -> None:
    found = remote((b"traceparent", parent), (b"tracestate", b"one=1, two@vendor=2"), (b"tracestate", b"three=a b"))
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (TRACE, SPAN)
    assert (found.is_remote, found.trace_flags.sampled) == (True, True)
    assert dict(found.trace_state) == {"one": "1", "two@vendor": "2", "three": "a b"}


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        PARENT + b"-later",
        b"ff" + PARENT[2:],
        PARENT.upper(),
        PARENT[:-1],
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
    ],
)
def test_any_other_parent_begins_a_new_trace(parent: bytes) -> None:
    assert not remote((b"traceparent", parent)).is_valid


def test_two_parents_are_none() -> None:
    assert not remote((b"traceparent", PARENT), (b"traceparent", PARENT)).is_valid


TOO_MANY = b",".join(b"k%d=v" % number for number in range(33))


@pytest.mark.parametrize("state", [b"no member", b"a=1,a=2", b"A=1", b"a=" + b"v" * 600, TOO_MANY])
def test_a_malformed_state_is_dropped_and_the_parent_is_not(state: bytes) -> None:
    found = remote((b"traceparent", PARENT), (b"tracestate", state))
    assert (found.is_valid, dict(found.trace_state)) == (True, {})


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_nothing_that_a_client_sends_raises_or_is_logged(headers: list[tuple[bytes, bytes]]) -> None:
    lines = Lines()
    logging.getLogger("opentelemetry").addHandler(lines)
    try:
        remote(*headers)
    finally:
        logging.getLogger("opentelemetry").removeHandler(lines)
    assert lines.records == []
