"""A connection to a browser by WebDriver BiDi: commands and their results as JSON over a websocket.

Only what the tests need: they wait for the result of each command and subscribe to no events.
Source: https://www.w3.org/TR/webdriver-bidi/
"""

import contextlib
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, TypeAlias

import msgspec
from websockets.asyncio.client import ClientConnection, connect

Json: TypeAlias = Any


class BidiError(Exception):
    """The browser answered a command with an error, or a script threw."""


class BidiConnection:
    """One session. Commands are sent one at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = count(1)

    async def command(self, method: str, **params: Json) -> Json:
        """Send a command and return its result. Raises BidiError."""
        command_id = next(self._ids)
        await self._socket.send(msgspec.json.encode({"id": command_id, "method": method, "params": params}).decode())
        while True:
            answer = msgspec.json.decode(await self._socket.recv())
            if answer.get("id") != command_id:
                continue
            if answer["type"] == "error":
                raise BidiError(f"{method}: {answer['message']}")
            return answer["result"]

    async def run(self, context: str, script: str, argument: Json) -> Json:
        """Call a JavaScript function in a page with a JSON value; return its result, awaited, as JSON."""
        call = f"async () => JSON.stringify(await ({script})({msgspec.json.encode(argument).decode()}))"
        answer = await self.command(
            "script.callFunction", functionDeclaration=call, target={"context": context}, awaitPromise=True
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        return msgspec.json.decode(answer["result"]["value"]) if "value" in answer["result"] else None


@contextlib.asynccontextmanager
async def bidi_session(address: str) -> AsyncIterator[BidiConnection]:
    """Open a session with the browser that listens on `address`, a `ws:` URL."""
    # Without pings: the loop of the session stands still while other tests run.
    async with connect(f"{address}/session", max_size=None, ping_interval=None) as socket:
        connection = BidiConnection(socket)
        await connection.command("session.new", capabilities={})
        yield connection
