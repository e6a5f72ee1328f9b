"""A real HTTP receiver of webhooks. It verifies each signature by the library of Standard Webhooks, and can be told to
fail, to hang, and to stop and start again on the same port."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks.webhooks import Webhook

from tests.webhooks.destinations import SECRET

DEADLINE_SECONDS = 60


class Delivery:
    """One request that has arrived: its verified JSON body and its header fields."""

    def __init__(self, body: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 - JSON
        self.body = body
        self.headers = headers


class Answer:
    """What the receiver answers."""

    def __init__(self, status: int = 204, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers or {}
        self.body = body


class Receiver:
    """A receiver on a free port of the loopback address. `answer` chooses the answer to each delivery.

    An answer of None closes the connection without a response. `accepted` are the deliveries answered with 2xx.
    """

    def __init__(
        self,
        secret: str = SECRET,
        answer: Callable[[Delivery], Answer | None] = lambda _: Answer(),
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.secret = secret
        self.answer = answer
        self.deliveries: list[Delivery] = []
        self.accepted: list[Delivery] = []
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._changed = threading.Condition()
        self._port = 0
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL of the receiver."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}/hook"

    def start(self) -> None:
        """Listen, again on the same port."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                receiver._sockets.append(self.request)
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = receiver._receive(body, {name.lower(): value for name, value in self.headers.items()})
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to listen, and cut all connections. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()
        self._thread.join()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition of what has arrived holds."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_SECONDS), f"{len(self.deliveries)} deliveries"

    def wait_for_accepted(self, count: int) -> list[Delivery]:
        """Wait for so many different accepted events; return the accepted deliveries."""
        self.wait_for(lambda: len({each.headers["webhook-id"] for each in self.accepted}) >= count)
        return list(self.accepted)

    def _receive(self, body: bytes, headers: dict[str, str]) -> Answer | None:
        Webhook(self.secret).verify(body, headers)
        delivery = Delivery(json.loads(body), headers)
        answer = self.answer(delivery)
        with self._changed:
            self.deliveries.append(delivery)
            if answer is not None and 200 <= answer.status < 300:
                self.accepted.append(delivery)
            self._changed.notify_all()
        return answer
