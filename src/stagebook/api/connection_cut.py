"""Closing the connection of a request on purpose: faults that a test asks for. Only a testing server can do it."""

from collections.abc import Sequence
from typing import Final

from stagebook.api.asgi import CUT_EXTENSION, Header, Receive, Scope, Send
from stagebook.api.fault_table import FaultKind
from stagebook.api.http_responses import HttpResponse, send_response

ANSWER_FAULT: Final = "stagebook.answer_fault"
"""The key of a scope under which the fault of its answer is noted: LOSE_ANSWER or CUT_ANSWER."""


class ConnectionCutError(Exception):
    """The connection of a request is to be closed without an answer, and the request is to have no effect."""

    def __init__(self) -> None:
        super().__init__("a test cuts the connection")


async def send_or_cut(
    scope: Scope, receive: Receive, send: Send, response: HttpResponse, *, extra_headers: Sequence[Header] = ()
) -> None:
    """Send a response, unless the scope has an ANSWER_FAULT: then close the connection, in the middle or at once."""
    fault = scope.get(ANSWER_FAULT)
    if fault is None:
        await send_response(send, response, extra_headers=extra_headers)
        return
    if fault is FaultKind.CUT_ANSWER:
        length: Header = (b"content-length", b"%d" % len(response.body))
        headers = [*extra_headers, *response.headers, length]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        half = response.body[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
    await cut_connection(scope, receive)


async def cut_connection(scope: Scope, receive: Receive) -> None:
    """Close the connection of a request after what was sent, and return when it is closed."""
    scope["extensions"][CUT_EXTENSION]()
    while (await receive())["type"] != "http.disconnect":
        pass
