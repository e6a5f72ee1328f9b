"""Sending a complete response."""

import pytest

from stagebook.api.asgi import Header, Message
from stagebook.api.http_responses import HttpResponse, send_response

HEADER: Header = (b"x-own", b"1")
EXTRA: Header = (b"x-extra", b"2")


async def sent(response: HttpResponse, *, is_head: bool = False) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await send_response(send, response, extra_headers=(EXTRA,), is_head=is_head)
    return messages


@pytest.mark.parametrize(("is_head", "body"), [(False, b"12345"), (True, b"")])
async def test_a_response_has_its_headers_and_its_length(*, is_head: bool, body: bytes) -> None:
    response = HttpResponse(status=200, headers=(HEADER,), body=b"12345")
    assert await sent(response, is_head=is_head) == [
        {"type": "http.response.start", "status": 200, "headers": [EXTRA, HEADER, (b"content-length", b"5")]},
        {"type": "http.response.body", "body": body},
    ]


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_that_never_has_a_body_has_no_length(status: int) -> None:
    start, body = await sent(HttpResponse(status=status))
    assert start["headers"] == [EXTRA]
    assert body["body"] == b""
