"""A broken server: a proxy in front of a real one that changes its answers.

It forwards requests as they are, with their Host, so that signatures stay valid.
"""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

CUT_HEADER = "x-test-cut"
"""A corruption adds it to cut the connection within the body."""


class ProxiedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer on its way through the proxy. `operation` is the path of the request without its slash."""

    operation: str
    status: int
    headers: dict[str, str]
    body: bytes


Corruption: TypeAlias = Callable[[ProxiedAnswer], ProxiedAnswer]


@contextmanager
def corrupting_proxy(endpoint_url: str, corruption: Corruption) -> Iterator[str]:
    """Run a proxy for the duration of a `with` block; yield its URL."""
    upstream = urlsplit(endpoint_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.upstream = http.client.HTTPConnection(upstream)

        def finish(self) -> None:
            self.upstream.close()
            super().finish()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.upstream.request(self.command, self.path, body, dict(self.headers.items()))
            response = self.upstream.getresponse()
            self.answer(
                corruption(
                    ProxiedAnswer(
                        operation=self.path.partition("?")[0].split("/")[1],
                        status=response.status,
                        headers={name.lower(): value for name, value in response.getheaders()},
                        body=response.read(),
                    )
                )
            )

        do_GET = do_DELETE = do_POST  # noqa: N815 - the names that http.server calls

        def answer(self, answer: ProxiedAnswer) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            is_cut = CUT_HEADER in answer.headers
            self.wfile.write(answer.body[: len(answer.body) // 2] if is_cut else answer.body)
            self.close_connection = self.close_connection or is_cut

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
