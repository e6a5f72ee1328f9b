"""The unix socket on which encoders' media comes into an engine process: who may speak, and message by message what.

The folder keeps other users out, a token everybody else. Knows no source.
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

from stagebook.media.media_bus import FeedMessage, Hello, Unit, receive
from stagebook.media.worker.framing import BrokenStreamError

HELLO_SECONDS: Final = 10.0
"""How long the first message may take."""
MAX_STRANGERS: Final = 64
"""Connections that have not said Hello."""
_BUFFER_BYTES: Final = 256 << 10

_log = structlog.get_logger(__name__)


class FeedRefusedError(Exception):
    """A feed is not let in, or not let go on; the text says why, for the log."""


class FeedListener(Protocol):
    """Who is told what feeds bring."""

    def feed_opened(self, hello: Hello, now: float) -> str:
        """A feed says Hello. Returns the id of its connection. Raises FeedRefusedError."""

    def feed_brought(self, connection_id: str, unit: Unit, now: float) -> None:
        """A feed brings a unit. Raises FeedRefusedError."""

    def feed_ended(self, connection_id: str) -> None:
        """Nothing comes from a feed any more."""


class FeedServer:
    """One listening socket in a private folder."""

    def __init__(self, listener: FeedListener, *, clock: Callable[[], float], randomness: Random) -> None:
        self.path: str | None = None
        """Where it listens; None while it does not."""
        self._listener = listener
        self._clock = clock
        self._randomness = randomness
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._strangers = 0
        self._open: dict[str, asyncio.Task[None]] = {}
        """By connection id."""

    async def start(self, directory: str) -> None:
        """Listen on a new socket in `directory`. Raises OSError."""
        path = os.fspath(Path(directory) / f"{self._randomness.getrandbits(64):016x}")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(path)
            os.chmod(path, 0o600)  # noqa: PTH101 - one quick call at the start
            self.path = path
            self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=_BUFFER_BYTES)
        except BaseException as error:
            self.path = None
            listening.close()
            if isinstance(error, OSError):
                raise OSError(f"no socket for feeds in {directory}: {error}") from error
            raise

    async def stop(self) -> None:
        """Listen no more, and hang up on all."""
        if self._server is None or self.path is None:
            return
        path, self.path = self.path, None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - one quick call at the end

    def hang_up(self, connection_id: str) -> None:
        """End a feed's connection; the listener is told no more. Unknown ids are fine."""
        task = self._open.pop(connection_id, None)
        if task is not None:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self.path is None or self._strangers >= MAX_STRANGERS:
            writer.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            connection_id = await self._welcome(reader)
            self._open[connection_id] = task
            await self._read(connection_id, reader)
        except FeedRefusedError as error:
            _log.warning("a feed is refused", detail=str(error))
        except (BrokenStreamError, TimeoutError) as error:
            _log.info("a feed that did not say Hello is gone", detail=str(error))
        except asyncio.CancelledError:
            # The end that `hang_up` and `stop` ask for. Python 3.11's streams take a cancelled task for a fault.
            return
        finally:
            writer.close()

    async def _welcome(self, reader: asyncio.StreamReader) -> str:
        """Read the Hello; the connection's id. Raises FeedRefusedError, BrokenStreamError, TimeoutError."""
        self._strangers += 1
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await receive(reader)
        finally:
            self._strangers -= 1
        if not isinstance(hello, Hello):
            raise FeedRefusedError("its first message is no Hello")
        return self._listener.feed_opened(hello, self._clock())

    async def _read(self, connection_id: str, reader: asyncio.StreamReader) -> None:
        """Read units until the feed ends, by itself or by `hang_up`."""
        try:
            while True:
                unit: FeedMessage = await receive(reader)
                if not isinstance(unit, Unit):
                    raise FeedRefusedError("it says Hello again")
                self._listener.feed_brought(connection_id, unit, self._clock())
        except (BrokenStreamError, FeedRefusedError) as error:
            _log.info("a feed has ended", connection_id=connection_id, detail=str(error))
        except Exception:  # noqa: BLE001 - a fault of ours with one feed must not stop the others
            _log.exception("a feed met a fault", connection_id=connection_id)
        if self._open.pop(connection_id, None) is not None:
            self._listener.feed_ended(connection_id)
