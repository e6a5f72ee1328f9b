"""A proxy between LiveKit and the endpoint for its webhooks: it passes answers back, or loses webhooks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class LossyWebhooks:
    """The receiver that LiveKit knows. `target_url` is the server that gets the webhooks; without one, all are lost."""

    def __init__(self) -> None:
        self.target_url: str | None = None
        self.lost = 0
        self.passed = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(proxy.receive(body, self.headers["authorization"]))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
                """Nothing is logged."""

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_port}/"

    def receive(self, body: bytes, authorization: str) -> int:
        """Pass a webhook on; return the status of the answer. A lost one is answered, so that LiveKit forgets it."""
        if self.target_url is None:
            self.lost += 1
            return 200
        try:
            answer = httpx.post(
                f"{self.target_url}/livekit/webhook", content=body, headers={"authorization": authorization}, timeout=5
            )
        except httpx.HTTPError:
            return 502
        self.passed += 1
        return answer.status_code


@contextmanager
def lossy_webhooks() -> Iterator[LossyWebhooks]:
    """Run a proxy."""
    proxy = LossyWebhooks()
    threading.Thread(target=proxy.listener.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.listener.shutdown()
        proxy.listener.server_close()
