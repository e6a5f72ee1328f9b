"""A client of event streams over a socket that can be cut at any byte.

It follows WHATWG HTML, section "Server-sent events": what was received of a message is dropped with the connection
unless the message is complete, and the last event id is that of the last complete one.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import h11

READ_SIZE_BYTES = 65_536
TIMEOUT_SECONDS = 60


class EventSourceState:
    """What an `EventSource` keeps over its connections: the last event id, and here also what it has dispatched."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.ids: list[str] = []
        self.names: list[str] = []
        self.disconnects: list[str] = []
        self.comments = 0
        self.retry_ms = 0
        self.connections = 0

    def dispatch(self, event: str, data: str) -> None:
        """Dispatch a complete message."""
        if event == "disconnect":
            self.disconnects.append(json.loads(data)["code"])
            return
        document = json.loads(data)
        assert (event, document["id"]) == ("message", self.last_event_id)
        self.ids.append(document["id"])
        self.names.append(document["name"])


class EventStreamParser:
    """Parses one stream."""

    def __init__(self, state: EventSourceState) -> None:
        self._state = state
        self._line = b""
        self._event = self._data = ""
        self._id = state.last_event_id

    def feed(self, data: bytes) -> None:
        """Parse some bytes of the stream."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._on_line(line.decode())

    def _on_line(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "" if not line:
                self._on_message()
            case "":
                self._state.comments += 1
            case "id":
                self._id = value
            case "event":
                self._event = value
            case "data":
                self._data += value + "\n"
            case "retry":
                self._state.retry_ms = int(value)

    def _on_message(self) -> None:
        self._state.last_event_id = self._id
        event, data = self._event or "message", self._data.removesuffix("\n")
        self._event = self._data = ""
        if data:
            self._state.dispatch(event, data)


class EventStreamConnection:
    """One connection. `status` is that of the response, 0 before it has arrived."""

    def __init__(self, reader: asyncio.StreamReader, state: EventSourceState) -> None:
        self._reader = reader
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._parser = EventStreamParser(state)
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        """The body of a response that is no event stream."""
        self.has_ended = False

    def request(self, target: str, headers: dict[str, str]) -> bytes:
        """Return the bytes of the request."""
        fields = [("Host", "stagebook.test"), *headers.items()]
        head = self._http.send(h11.Request(method="GET", target=target, headers=fields))
        return (head or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    async def read(self, size_bytes: int = READ_SIZE_BYTES) -> bool:
        """Read at most so many bytes; return False if the stream has ended."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                data = await self._reader.read(size_bytes)
            except ConnectionError:
                data = b""
        if not data:
            self.has_ended = True
            return False
        self._http.receive_data(data)
        while (event := self._http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Response):
                self.status, self.headers = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data) and self.status == 200:
                self._parser.feed(bytes(event.data))
            elif isinstance(event, h11.Data):
                self.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.has_ended = True
                return False
        return True


@contextlib.asynccontextmanager
async def event_stream(
    url: str, state: EventSourceState, *, key: str = "", query: str = ""
) -> AsyncIterator[EventStreamConnection]:
    """Connect and send the request. Leaving resets the connection, whatever has been received."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    state.connections += 1
    try:
        connection = EventStreamConnection(reader, state)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if state.last_event_id:
            headers["Last-Event-ID"] = state.last_event_id
        writer.write(connection.request(f"/watch/v1/events/stream{query}", headers))
        yield connection
    finally:
        writer.transport.abort()
