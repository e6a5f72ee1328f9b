"""How responses are written: a head together with its body."""

import asyncio
from unittest.mock import Mock

import pytest

from stagebook.server.http.response_output import ResponseTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([HEAD, b"body"], [HEAD + b"body"]),
        ([HEAD, b""], [HEAD]),
        ([HEAD], [HEAD]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, b"body"], [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"body"]),
        ([HEAD, b"bo", b"dy"], [HEAD + b"bo", b"dy"]),
    ],
    ids=["body", "empty body", "answer to HEAD", "interim response", "two parts"],
)
def test_a_head_is_written_with_its_body(written: list[bytes], sent: list[bytes]) -> None:
    transport, calls = Mock(spec=asyncio.Transport), list[bytes]()
    transport.write = calls.append
    transport.writelines = lambda parts: calls.append(b"".join(parts))
    responses = ResponseTransport(Mock(), transport)
    responses.begin_response()
    for data in written:
        responses.write(data)
    responses.flush()
    assert calls == sent


def test_the_head_of_an_endless_response_does_not_wait() -> None:
    transport, head = Mock(spec=asyncio.Transport), b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    responses = ResponseTransport(Mock(), transport)
    responses.begin_response()
    responses.write(head)
    transport.write.assert_called_once_with(head)


def test_a_head_is_written_when_the_connection_is_closed() -> None:
    transport = Mock(spec=asyncio.Transport)
    responses = ResponseTransport(Mock(), transport)
    responses.begin_response()
    responses.write(HEAD)
    responses.close()
    transport.write.assert_called_once_with(HEAD)
