"""The web server of the participants' pages. Its origin differs from the Stagebook server's, so CORS applies."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGES = Path(__file__).parent / "pages"


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextlib.contextmanager
def serve_pages() -> Iterator[str]:
    """Serve the pages on a free port of 127.0.0.1. Yields the URL of the participants' page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(PAGES))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/participant.html"
        finally:
            server.shutdown()
            thread.join()
