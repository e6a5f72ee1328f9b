"""The server side of the media bus: the unix socket on which ingest processes send encoders' media to this engine.

A client sends a Hello with the token of its feed ticket, and then units until the feed ends (`media.media_bus` defines
the messages). The server sends nothing. Two things keep other processes out: the socket is in a directory of mode 0700,
and the token is secret.

A feed ends when the client closes the connection, when it breaks a rule, or when the engine calls `disconnect`. A fault
with one feed does not affect the others.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Protocol

import structlog

from stagebook.media.media_bus import Hello, Unit
from stagebook.media.media_bus_reader import MediaBusReader
from stagebook.media.worker.framing import BrokenStreamError

HELLO_TIMEOUT_SECONDS: Final = 10.0
MAX_UNAUTHENTICATED: Final = 64
"""Connections that have not sent their Hello."""

_log = structlog.get_logger(__name__)


class FeedRefusedError(Exception):
    """A feed is not accepted, or is ended because of what it sent. The message says why, for the log."""


class MediaBusListener(Protocol):
    """Receives what feeds send."""

    def feed_connected(self, hello: Hello, now: float) -> str:
        """A client sent a Hello. Returns the connection id that its token stands for. Raises FeedRefusedError."""

    def feed_received(self, connection_id: str, unit: Unit, now: float) -> None:
        """A feed sent a unit. Raises FeedRefusedError."""

    def feed_closed(self, connection_id: str) -> None:
        """A feed's connection is closed. Not called after `disconnect`."""


class MediaBusServer:
    """One listening unix socket."""

    def __init__(self, listener: MediaBusListener, *, clock: Callable[[], float], randomness: Random) -> None:
        """`clock` returns monotonic seconds. `randomness` gives the name of the socket."""
        self.path: str | None = None
        """The path of the socket; None while the server is not listening."""
        self._listener = listener
        self._clock = clock
        self._randomness = randomness
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unauthenticated = 0
        self._open: dict[str, asyncio.Task[None]] = {}
        """The task of each feed, by connection id."""

    async def start(self, directory: str) -> None:
        """Listen on a new socket in `directory`, with mode 0600. Raises OSError, with the directory in its message."""
        path = os.fspath(Path(directory) / f"{self._randomness.getrandbits(64):016x}")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(path)
            os.chmod(path, 0o600)  # noqa: PTH101 - one quick call at the start
            self.path = path
            self._server = await asyncio.get_running_loop().create_unix_server(
                lambda: MediaBusReader(self._serve), sock=listening
            )
        except BaseException as error:
            self.path = None
            listening.close()
            if isinstance(error, OSError):
                raise OSError(f"cannot listen for encoder feeds in {directory}: {error}") from error
            raise

    async def stop(self) -> None:
        """Stop listening, close all connections and delete the socket."""
        if self._server is None or self.path is None:
            return
        path, self.path = self.path, None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - one quick call at the end

    def disconnect(self, connection_id: str) -> None:
        """Close a feed's connection. The listener is not called for it again. Unknown ids are ignored."""
        task = self._open.pop(connection_id, None)
        if task is not None:
            task.cancel()

    async def _serve(self, reader: MediaBusReader) -> None:
        task = asyncio.current_task()
        if task is None or self.path is None or self._unauthenticated >= MAX_UNAUTHENTICATED:
            reader.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            connection_id = await self._authenticate(reader)
            self._open[connection_id] = task
            await self._read_units(connection_id, reader)
        except FeedRefusedError as error:
            _log.warning("encoder feed refused", detail=str(error))
        except (BrokenStreamError, TimeoutError) as error:
            _log.info("encoder feed closed before its Hello", detail=str(error))
        except asyncio.CancelledError:
            return  # `disconnect` or `stop` cancelled the task.
        finally:
            reader.close()

    async def _authenticate(self, reader: MediaBusReader) -> str:
        """Read the Hello. Returns the connection id. Raises FeedRefusedError, BrokenStreamError, TimeoutError."""
        self._unauthenticated += 1
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_SECONDS):
                hello = await reader.next()
        finally:
            self._unauthenticated -= 1
        if not isinstance(hello, Hello):
            raise FeedRefusedError("the first message is not a Hello")
        return self._listener.feed_connected(hello, self._clock())

    async def _read_units(self, connection_id: str, reader: MediaBusReader) -> None:
        """Read units until the feed ends."""
        try:
            while True:
                unit = await reader.next()
                if not isinstance(unit, Unit):
                    raise FeedRefusedError("it sent a second Hello")
                self._listener.feed_received(connection_id, unit, self._clock())
        except (BrokenStreamError, FeedRefusedError) as error:
            _log.info("encoder feed ended", connection_id=connection_id, detail=str(error))
        except Exception:  # noqa: BLE001 - an error in one feed must not stop the others
            _log.exception("encoder feed failed", connection_id=connection_id)
        if self._open.pop(connection_id, None) is not None:
            self._listener.feed_closed(connection_id)
