"""uvicorn's websocket connection with bounds on what a peer can cost.

uvicorn (over the Sans-I/O protocol of `websockets`) trusts its peer in ways that this class corrects:

* **Frames are metered.** uvicorn meters nothing, and an application sees only complete messages. Pongs that nobody
  asked for and fragments of a message that never ends cost 20 microseconds each and never reach the application, so a
  peer that sends 6-byte frames at 0.5 MB/s would keep the event loop busy all the time. Every frame takes a unit from a
  token bucket, whatever its type. Received data is parsed in slices of 512 bytes, because parsing is what costs: one
  read can hold 40,000 frames. After FRAMES_PER_TURN frames, parsing goes on in the next turn of the event loop.
* **A message has a bounded number of fragments.** `websockets` bounds the size of a message, but an empty fragment has
  no size, and uvicorn keeps a list of them.
* **Long messages are sent in parts** (`TEXT_PARTS_EXTENSION` of `api/asgi.py`). Each part is a frame of its own (RFC
  6455 section 5.4), and `send` waits until the part before it has left this process. A part is written to the
  transport as it is, without a copy, so the sockets that get the same message share one buffer.
* **Pongs are not queued.** If earlier data is still unsent, a ping is not answered: a pong answers only the most recent
  ping anyway (RFC 6455 section 5.5.3), and a peer that sends pings and does not read would make the queue grow.
* **A peer that does not read is aborted.** `transport.close` waits until the peer has read all buffered data, and the
  kernel keeps probing such a peer for as long as it acknowledges. When the application has ended, when a close frame
  was not answered, and when a ping was not, the connection is aborted after a timeout.
* **A handshake is parsed once.** uvicorn makes `websockets` parse it again, with limits below those of the HTTP
  connection: a head that is refused there leaves the socket open without a timeout.
* **The application learns who ended a connection.** The `websocket.disconnect` message of a peer that broke the
  protocol or a bound has `DISCONNECT_REFUSED`; uvicorn's looks like that of a peer that closed by itself.
* **Input of a client is not an error.** uvicorn logs a handshake that the application refuses with an HTTP response,
  and a text message that is not UTF-8.
* **An open websocket is small.** Its attributes are slots, its queue and its event have no deques, and the handshake is
  dropped when it is over (`tests/api/participants/test_events_memory.py`).
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN

from stagebook.api.asgi import DISCONNECT_REFUSED, HAND_OVER_EXTENSION, TEXT_PARTS_EXTENSION
from stagebook.api.light_event import LightEvent, LightQueue
from stagebook.server.http.request_head import RequestHead
from stagebook.server.http.response_output import bound_output
from stagebook.server.http.websocket_handover import HandOver

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

    from uvicorn._types import WebSocketScope

FRAMES_BURST = 300
FRAMES_PER_SECOND = 20.0
"""A client may send 5 messages per second. The rest is for pings, pongs, and messages in several fragments."""
MAX_FRAGMENTS = 64
"""Fragments of one message: of the largest message (16 KiB), fragments of 256 bytes."""
SLICE_SIZE_BYTES = 512
"""Bytes that are parsed before the frames in them are counted: at most 85 frames, 1 ms of work."""
FRAMES_PER_TURN = 64
"""Frames of one peer after which the other connections have their turn. What waits in the meantime is a few reads at
most, because FRAMES_BURST is reached in five turns."""
LATE_LIMIT_BYTES = 131_072
"""Bytes that a peer may send after the server's close frame. It has to answer it, but may have sent more before."""

_EXTENSIONS: dict[str, dict[object, object]] = {"websocket.http.response": {}, TEXT_PARTS_EXTENSION: {}}
_UVICORN_ATTRIBUTES = (
    *("app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer", "config", "conn"),
    *("connections", "curr_msg_data_type", "default_headers", "disconnected", "frames", "handshake_complete"),
    *("handshake_initiated", "initial_response", "last_ping_rtt", "logger", "loop", "pending_ping_payload"),
    *("ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue", "read_paused", "request"),
    *("response", "root_path", "scheme", "scope", "server", "tasks", "transport", "writable"),
)
"""The attributes of uvicorn's class. As slots of the subclass they take 0.3 KB, in its dictionary 1.6 KB."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket connection. `on_lost` is called when it has ended."""

    on_lost: Callable[[], None]

    __slots__ = (
        "_abort_timer",
        "_frames_counted_at_seconds",
        "_frames_in_turn",
        "_frames_left",
        "_held",
        "_is_in_message",
        "_late_bytes",
        "on_lost",
        *_UVICORN_ATTRIBUTES,
    )

    def __init__(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 - arguments of uvicorn
        super().__init__(*arguments, **keywords)
        # These have the methods that uvicorn calls.
        self.queue = LightQueue()  # type: ignore[assignment]
        self.writable = LightEvent(is_set=True)  # type: ignore[assignment]
        self._frames_left = float(FRAMES_BURST)
        self._frames_counted_at_seconds = self.loop.time()
        self._frames_in_turn = 0
        self._held = b""  # received, and to be parsed in the next turn
        self._late_bytes = 0  # received after the close frame was sent
        self._is_in_message = False
        self._abort_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: "BaseTransport") -> None:
        """Bound the buffers of the socket, so that one that is not read holds little, and stale data is not queued."""
        super().connection_made(transport)
        bound_output(self.transport)

    def begin(self, head: RequestHead) -> None:
        """Begin the handshake, whose request has been parsed already.

        A handshake that is invalid (no key, another version) is answered with an error, and the connection is closed.
        """
        # The parser of `websockets` expects the bytes of a request before those of frames.
        self.conn.receive_data(b"GET / HTTP/1.1\r\n\r\n")
        self.conn.events_received()
        # Of several offered protocols (RFC 9110 section 7.8) this is the chosen one; `websockets` refuses a list.
        headers = Headers(upgrade="websocket")
        for name, value in head.headers:
            if name == b"upgrade":
                continue
            # The fields of the handshake are ASCII. The application gets the others unchanged, below.
            headers[name.decode("ascii")] = value.decode("ascii", errors="ignore")
        target = head.raw_path + b"?" + head.query if head.query else head.raw_path
        self.handle_connect(Request(target.decode("ascii"), headers))
        if not self.close_sent:
            self.scope["headers"] = head.headers

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer of the abort, and free the connection."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)
        self.on_lost()
        _drop_traceback(self.conn.handshake_exc)
        _drop_traceback(self.conn.parser_exc)

    def abort(self) -> None:
        """Close the connection at once. The application is notified."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse data in slices. Close the connection of a peer that sends too many frames; ignore the rest.

        Abort that of a peer that sends before the response to its handshake (RFC 6455 section 4.1), or goes on sending
        after the close frame.
        """
        if self.conn.state is not OPEN:
            self._late_bytes += len(data)
            if self.conn.state is CONNECTING or self._late_bytes > LATE_LIMIT_BYTES:
                self.abort()
                return
        if self._held:
            self._held += data
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        # Data also arrives after a failure, until the transport is closed; it must not be parsed either.
        self._frames_in_turn = 0
        view = memoryview(data)
        for start in range(0, len(data), SLICE_SIZE_BYTES):
            if self.transport.is_closing():
                return
            if self._frames_in_turn >= FRAMES_PER_TURN:
                self._held = bytes(view[start:])
                self.loop.call_soon(self._parse_held)
                return
            super().data_received(bytes(view[start : start + SLICE_SIZE_BYTES]))

    def _parse_held(self) -> None:
        data, self._held = self._held, b""
        self._parse(data)

    def handle_events(self) -> None:
        """Count the frames of a slice, then handle them; close the connection if they are too many."""
        frames = sum(isinstance(event, Frame) for event in self.conn.events)
        self._frames_in_turn += frames
        # A connection that is not OPEN has sent its close frame in this slice; whatever follows is not parsed.
        if frames and not self._take(frames) and self.conn.state is OPEN:
            self._refuse(CloseCode.POLICY_VIOLATION, "too many frames")
            return
        super().handle_events()
        if len(self.frames) > MAX_FRAGMENTS and self.conn.state is OPEN:
            self._refuse(CloseCode.POLICY_VIOLATION, "too many fragments")

    def send_receive_event_to_app(self) -> None:
        """Pass a complete message on. A text that is not UTF-8 fails the connection (RFC 6455 section 8.1).

        uvicorn logs such a text with a traceback.
        """
        if self.curr_msg_data_type == "text":
            data = b"".join(self.frames)
            if not _is_utf8(data):
                if self.conn.state is OPEN:
                    self._refuse(CloseCode.INVALID_DATA, "text must be UTF-8")
                return
            self.frames = [data]
        super().send_receive_event_to_app()

    def _take(self, frames: int) -> bool:
        """Take units from the bucket; return False when there are too few."""
        now_seconds = self.loop.time()
        refilled = (now_seconds - self._frames_counted_at_seconds) * FRAMES_PER_SECOND
        self._frames_left = min(FRAMES_BURST, self._frames_left + refilled) - frames
        self._frames_counted_at_seconds = now_seconds
        return self._frames_left >= 0

    def _refuse(self, code: CloseCode, reason: str) -> None:
        """Close the connection of a peer that exceeds a bound, as uvicorn closes it after a protocol error."""
        self.conn.events_received()
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()
        self._abort_after_timeout()

    def handle_parser_exception(self) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): send the close frame, and notify the application."""
        super().handle_parser_exception()
        messages: Any = self.queue
        messages.newest[DISCONNECT_REFUSED] = True

    def handle_ping(self) -> None:
        """Write the pong, unless the peer has not read what was sent before."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_connect(self, event: Any) -> None:  # noqa: ANN401 - websockets' request
        """Announce the extension to the application, which starts with the next iteration of the event loop."""
        super().handle_connect(event)
        scope: WebSocketScope | None = getattr(self, "scope", None)
        if scope is not None:
            extensions: dict[str, Any] = _EXTENSIONS | {HAND_OVER_EXTENSION: HandOver(self)}
            scope["extensions"] = extensions

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's type lacks the extension
        """Send a message of the application, or a part of one.

        Mark a handshake as complete once it was refused with an HTTP response. Raises ClientDisconnected (an OSError).
        """
        if "text_part" in message:
            await self.writable.wait()
            self._write_part(message["text_part"], is_last=not message["more_parts"])
            return
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
        if message["type"] == "websocket.close":
            self._abort_after_timeout()
        if message["type"] == "websocket.accept":
            # The handshake is not needed again, and would be a fifth of the memory of an open websocket.
            del self.request, self.response, self.scope

    def _write_part(self, pieces: Sequence[bytes], *, is_last: bool) -> None:
        if self.disconnected or self.close_sent or self.conn.state is not OPEN:
            raise ConnectionResetError
        opcode = Opcode.CONT if self._is_in_message else Opcode.TEXT
        self._is_in_message = not is_last
        # Not `conn.send_text`, which would copy the part. Frames of a server are not masked, so they are all equal.
        self.transport.writelines((_frame_header(opcode, sum(map(len, pieces)), is_last=is_last), *pieces))

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """Abort the connection if it stays open after the application has ended."""
        super().on_task_complete(task)
        self._abort_after_timeout()

    def keepalive_timeout(self) -> None:
        """Abort the connection of a peer that did not answer a ping.

        uvicorn only closes the transport, which first waits until the peer has read all buffered data. A peer that does
        not read would keep the connection open, and the application would not be notified of its end.
        """
        super().keepalive_timeout()
        self.transport.abort()

    def _abort_after_timeout(self) -> None:
        if self._abort_timer is None and not self.disconnected:
            self._abort_timer = self.loop.call_later(self.close_timeout, self.transport.abort)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _drop_traceback(error: BaseException | None) -> None:
    """Free the frames of an exception: they refer to the connection, which keeps the exception."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _frame_header(opcode: Opcode, size_bytes: int, *, is_last: bool) -> bytes:
    """Return the header of an unmasked frame (RFC 6455 section 5.2)."""
    first = (0x80 if is_last else 0) | opcode
    if size_bytes < 126:
        return struct.pack("!BB", first, size_bytes)
    if size_bytes < 65_536:
        return struct.pack("!BBH", first, 126, size_bytes)
    return struct.pack("!BBQ", first, 127, size_bytes)
