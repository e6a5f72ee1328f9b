"""The web server of the test pages. Its origin differs from the Stagebook server's, so CORS applies."""

import contextlib
import functools
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer

PAGES = Path(__file__).parent / "pages"

_NO_FOLDER = Path("/nonexistent")  # for /favicon.ico


class _Handler(SimpleHTTPRequestHandler):
    """Serves the files of some folders at `/<name of the folder>/<file>`."""

    def __init__(
        self, folders: Mapping[str, Path], request: socket.socket, address: tuple[str, int], server: BaseServer
    ) -> None:
        self._folders = folders
        super().__init__(request, address, server)

    def translate_path(self, path: str) -> str:
        name, _, file = path.partition("?")[0].lstrip("/").partition("/")
        return str(self._folders.get(name, _NO_FOLDER) / file)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextlib.contextmanager
def serve_pages(**folders: Path) -> Iterator[str]:
    """Serve folders on a free port of 127.0.0.1. Yields the URL to which `/<name of the folder>/<file>` is appended."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, folders)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
