"""Passes LiveKit's webhooks on to the Stagebook servers of a test, and can lose, double or reorder them.

LiveKit has to know the address of the receiver when it starts, before any server of a test. Each webhook goes to all
servers that run; those that do not know its room ignore it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from stagebook.server.router import LIVEKIT_WEBHOOK_PATH
from tests.e2e.server import RunningServer


class RelayMode(Enum):
    """What becomes of webhooks."""

    PASS = "pass"
    LOSE = "lose"
    """Each is answered, and nobody gets it."""
    FAIL = "fail"
    """Each is answered by an error, and nobody gets it. LiveKit sends it again for 30 s."""
    DOUBLE_AND_REORDER = "double and reorder"
    """Each is held back until the next one has been passed on, and is then passed on twice."""


class WebhookRelay:
    """The receiver that LiveKit knows."""

    def __init__(self) -> None:
        self.mode = RelayMode.PASS
        self.received = 0
        self.failed = 0
        self.passed: list[tuple[str, float]] = []
        """The body of each webhook that was passed on, with the time of its arrival in seconds since 1970."""
        self.lost: list[tuple[str, float]] = []
        """The same of each webhook that was lost."""
        self._servers: list[RunningServer] = []
        self._held: tuple[bytes, str] | None = None
        self._lock = threading.Lock()
        self._http = httpx.Client(timeout=5.0)
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(relay.receive(body, self.headers["authorization"]))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
                """Nothing is logged."""

        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listener.server_port}/"
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def add(self, server: RunningServer) -> None:
        """Pass webhooks on to this server too."""
        self._servers = [each for each in self._servers if each.process.poll() is None] + [server]

    def receive(self, body: bytes, authorization: str) -> int:
        """Do with a webhook what the mode says. Return the status of the answer."""
        arrived_at = time.time()
        with self._lock:
            self.received += 1
            mode = self.mode
            webhook = (body, authorization)
            due: list[tuple[bytes, str]] = []
            if mode is RelayMode.DOUBLE_AND_REORDER:
                due, self._held = [webhook, *([] if self._held is None else [self._held, self._held])], None
                if len(due) == 1:
                    due, self._held = [], webhook
            elif mode is RelayMode.PASS:
                due = [webhook]
            elif mode is RelayMode.FAIL:
                self.failed += 1
            else:
                self.lost.append((body.decode(), arrived_at))
        for each in due:
            self.passed.append((each[0].decode(), arrived_at))
            self._pass_on(*each)
        return 500 if mode is RelayMode.FAIL else 200

    def close(self) -> None:
        """Stop to listen."""
        self._listener.shutdown()
        self._listener.server_close()
        self._http.close()

    def _pass_on(self, body: bytes, authorization: str) -> None:
        headers = {"authorization": authorization, "content-type": "application/webhook+json"}
        for server in self._servers:
            try:
                self._http.post(f"{server.endpoint_url}{LIVEKIT_WEBHOOK_PATH}", content=body, headers=headers)
            except httpx.HTTPError:
                continue


@contextmanager
def webhook_relay() -> Iterator[WebhookRelay]:
    """Run a relay."""
    relay = WebhookRelay()
    try:
        yield relay
    finally:
        relay.close()
