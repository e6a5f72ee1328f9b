"""A finished answer and how it is sent: the one place where bytes of this door leave.

Knows ASGI's sending half and how an error is written on this wire; nothing of operations.
Source of the error's form: the error shapes of the service model and the AWS restJson1 protocol of Smithy.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from stagebook.api.aws.aws_errors import AwsError
from stagebook.api.aws.rest_json.header_members import Header
from stagebook.api.aws.rest_json.request_body import Message

Send: TypeAlias = Callable[[Message], Awaitable[None]]

_CONTENT_TYPE: Header = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Status, body, and the headers beyond those that every answer has."""

    status: int
    body: bytes
    headers: Sequence[Header] = ()


def error_answer(error: AwsError, *, headers: Sequence[Header]) -> Answer:
    """Return the answer that tells an error, with the headers that every error of the model has.

    The message is in two members: the model calls it `exceptionMessage`, botocore looks for `message`.
    """
    lines = ((b"x-amzn-errortype", error.error_type.encode()), *headers, *error.headers)
    body = _encode({"message": error.message, "exceptionMessage": error.message})
    return Answer(status=error.status, body=body, headers=lines)


async def send_answer(send: Send, answer: Answer, *, request_id: bytes) -> None:
    """Send the answer with its type, its length and its request id."""
    headers = [
        _CONTENT_TYPE,
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-amzn-requestid", request_id),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
