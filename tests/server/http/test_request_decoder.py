"""The decoder of a client's input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.server.http.request_decoder import EMPTY_LINES_LIMIT_BYTES, BodyPart, RequestDecoder
from stagebook.server.http.request_head import HEAD_LIMIT_BYTES, HttpRequestError, RequestHead

REQUESTS = (
    b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\r\n"
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    b"GET /d HTTP/1.1\r\nHost: x\r\n\r\n"
)


@pytest.mark.parametrize("read_size_bytes", [1, 5, 1_000])
def test_requests_are_decoded_for_any_division_of_the_input(read_size_bytes: int) -> None:
    decoder = RequestDecoder()
    requests: list[tuple[bytes, bytes]] = []
    path, body = b"", b""
    for start in range(0, len(REQUESTS), read_size_bytes):
        decoder.receive(REQUESTS[start : start + read_size_bytes])
        while (event := decoder.next_event()) is not None:
            if isinstance(event, RequestHead):
                path, body = event.raw_path, b""
            else:
                body += event.data
                if event.is_last:
                    requests.append((path, body))
    assert requests == [(b"/a", b""), (b"/b", b"hello"), (b"/c", b"abc"), (b"/d", b"")]
    assert not decoder.is_in_request


def test_nothing_is_decoded_before_it_is_asked_for() -> None:
    decoder = RequestDecoder()
    decoder.receive(REQUESTS)
    assert decoder.held_bytes == len(REQUESTS)
    assert isinstance(decoder.next_event(), RequestHead)
    assert decoder.next_event() == BodyPart(b"", is_last=True)
    assert 0 < decoder.held_bytes < len(REQUESTS)
    assert decoder.is_in_request


@pytest.mark.parametrize("extra_bytes", [0, 1])
def test_the_head_limit_is_exact_whether_the_head_arrives_at_once_or_not(extra_bytes: int) -> None:
    start, end = b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"\r\n\r\n"
    head = start + b"y" * (HEAD_LIMIT_BYTES - len(start) - len(end) + extra_bytes) + end
    for parts in ([head], [head[:100], head[100:-2], head[-2:]]):
        decoder = RequestDecoder()
        outcome: object = None
        for part in parts:
            decoder.receive(part)
            try:
                outcome = decoder.next_event()
            except HttpRequestError as error:
                outcome = error.status
                break
        assert outcome == 431 if extra_bytes else isinstance(outcome, RequestHead)


@pytest.mark.parametrize("read_size_bytes", [1, 100, 10_000])
def test_empty_lines_before_a_request_are_limited(read_size_bytes: int) -> None:
    empty_lines = b"\r\n" * (EMPTY_LINES_LIMIT_BYTES // 2)
    decoder = RequestDecoder()
    for _ in range(2):
        for start in range(0, EMPTY_LINES_LIMIT_BYTES, read_size_bytes):
            decoder.receive(empty_lines[start : start + read_size_bytes])
            assert decoder.next_event() is None
        decoder.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert isinstance(decoder.next_event(), RequestHead)
        assert decoder.next_event() == BodyPart(b"", is_last=True)
    decoder.receive(empty_lines + b"\r")
    with pytest.raises(HttpRequestError) as caught:
        decoder.next_event()
    assert caught.value.status == 400


def test_dropped_input_is_not_decoded() -> None:
    decoder = RequestDecoder()
    decoder.receive(REQUESTS[:100])
    while decoder.next_event() is not None:
        pass
    decoder.clear()
    assert not decoder.is_in_request
    assert decoder.next_event() is None


PIECES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /a?b=%20+ HTTP/1.1\r\n",
    b"Host: x\r\n",
    b"Content-Length: 5\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Transfer-Encoding: chunked\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n",
    b"http://[",
    b"GET http://x:99999/ HTTP/1.1\r\n",
    b"X: \xff\r\n",
    b"\x00",
    b": ",
    b"Expect: 100-continue\r\n",
    b"CONNECT ",
]


@given(
    data=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=12),
    data_split=st.integers(1, 40),
)
def test_any_input_is_decoded_or_refused_and_its_division_does_not_matter(data: list[bytes], data_split: int) -> None:
    joined = b"".join(data)
    assert decode_all([joined]) == decode_all(
        [joined[start : start + data_split] for start in range(0, len(joined), data_split)]
    )


def decode_all(parts: list[bytes]) -> list[object]:
    """Return the requests in the input, with whole bodies, and the status of the refusal that ends it."""
    decoder = RequestDecoder()
    decoded: list[object] = []
    body = b""
    for part in parts:
        decoder.receive(part)
        try:
            while (event := decoder.next_event()) is not None:
                if isinstance(event, RequestHead):
                    body = b""
                    decoded.append(event)
                else:
                    body += event.data
                    if event.is_last:
                        decoded.append(body)
        except HttpRequestError as error:
            return [*decoded, error.status]
    return decoded
