"""The sending side of an ASGI request body."""

import asyncio

from stagebook.api.asgi import Message


def body_part(body: bytes, *, more: bool) -> Message:
    """Return an `http.request` message."""
    return {"type": "http.request", "body": body, "more_body": more}


class BodyClient:
    """An ASGI `receive` that returns the given messages and then waits for ever."""

    def __init__(self, *messages: Message) -> None:
        self._messages = iter(messages)
        self.receive_calls = 0
        self.is_waiting = asyncio.Event()

    async def receive(self) -> Message:
        self.receive_calls += 1
        for message in self._messages:
            return message
        self.is_waiting.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")
