"""A TCP proxy before the database. It counts what passes, can become a black hole that resets no connection, and can
refuse connections."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

_CHUNK_BYTES: Final = 65_536


class CuttableProxy:
    """Listens on the loopback interface while it is entered. `url` is that of the database by way of the proxy."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = target._replace(netloc=f"{target.username}@127.0.0.1:{self._port}").geturl()
        self._passes = threading.Event()
        self._passes.set()
        self._sockets: list[socket.socket] = []
        self.request_bytes = self.answer_bytes = self.round_trips = 0
        """What has passed. With one connection at a time, which waits for each answer, these are exact."""
        self._is_answering = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._passes.set()
        self._close(self._listener, *self._sockets)

    def cut(self) -> None:
        """Let nothing pass, in both directions. New connections are accepted, and get no answer."""
        self._passes.clear()

    def refuse(self) -> None:
        """End all connections, and refuse new ones, as a host without a server does."""
        self._close(self._listener, *self._sockets)

    def heal(self) -> None:
        """Let pass what comes, and what has waited. Accept connections again."""
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self._port))
            threading.Thread(target=self._accept, daemon=True).start()
        self._passes.set()

    @staticmethod
    def _close(*sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._passes.wait()
        try:
            far = socket.create_connection(self._target)
        except OSError:
            near.close()
            return
        self._sockets.append(far)
        requests = threading.Thread(target=self._pump, args=(near, far), kwargs={"is_request": True}, daemon=True)
        requests.start()
        self._pump(far, near, is_request=False)
        requests.join()
        self._close(near, far)

    def _count(self, size_bytes: int, *, is_request: bool) -> None:
        if is_request:
            self.request_bytes += size_bytes
            self.round_trips += self._is_answering
        else:
            self.answer_bytes += size_bytes
        self._is_answering = not is_request

    def _pump(self, source: socket.socket, target: socket.socket, *, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                self._count(len(data), is_request=is_request)
                self._passes.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
