"""The server side of the media bus: the unix socket on which other processes of the server send media to this engine.

Ingest processes send encoders' media, and other engines the media of a source that they relay. A client sends a hello
with the token of its feed ticket, and then media until the feed ends (`media.media_bus` and `relay.relay_messages`
define the messages). Two things keep other processes out: the socket is in a directory of mode 0700,
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
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec
import structlog

from stagebook.media.media_bus_reader import MediaBusReader
from stagebook.media.worker.framing import BrokenStreamError, MessageT

HELLO_TIMEOUT_SECONDS: Final = 10.0
MAX_UNAUTHENTICATED: Final = 64
"""Connections that have not sent their Hello."""

_log = structlog.get_logger(__name__)


class FeedRefusedError(Exception):
    """A feed is not accepted, or is ended because of what it sent. The message says why, for the log."""


SendReply: TypeAlias = Callable[[bytearray], None]
"""Sends a framed message back to the client of a feed."""


_ReceivedT = TypeVar("_ReceivedT", contravariant=True)


class MediaBusListener(Protocol[_ReceivedT]):
    """Receives what feeds send."""

    def feed_connected(self, hello: _ReceivedT, reply: SendReply, now: float) -> str:
        """A client sent its first message. Returns the connection id that its token stands for.

        Raises FeedRefusedError for another message than a hello, and for an unknown token."""

    def feed_received(self, connection_id: str, message: _ReceivedT, now: float) -> None:
        """A feed sent a message after its hello. Raises FeedRefusedError for one that does not belong there."""

    def feed_closed(self, connection_id: str) -> None:
        """A feed's connection is closed. Not called after `disconnect`."""


class MediaBusServer(Generic[MessageT]):
    """One listening unix socket."""

    def __init__(
        self,
        listener: MediaBusListener[MessageT],
        decoder: msgspec.msgpack.Decoder[MessageT],
        *,
        clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        """`decoder` accepts the messages of a feed. `clock` returns monotonic seconds. `randomness` gives the name of
        the socket."""
        self.path: str | None = None
        """The path of the socket; None while the server is not listening."""
        self._listener = listener
        self._decoder = decoder
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
                lambda: MediaBusReader(self._serve, self._decoder), sock=listening
            )
        except BaseException as error:
            self.path = None
            listening.close()
            if isinstance(error, OSError):
                raise OSError(f"cannot listen for feeds in {directory}: {error}") from error
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

    async def _serve(self, reader: MediaBusReader[MessageT]) -> None:
        task = asyncio.current_task()
        if task is None or self.path is None or self._unauthenticated >= MAX_UNAUTHENTICATED:
            reader.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            connection_id = await self._authenticate(reader)
            self._open[connection_id] = task
            await self._read_messages(connection_id, reader)
        except FeedRefusedError as error:
            _log.warning("feed refused", detail=str(error))
        except (BrokenStreamError, TimeoutError) as error:
            _log.info("feed closed before its hello", detail=str(error))
        except asyncio.CancelledError:
            return  # `disconnect` or `stop` cancelled the task.
        finally:
            reader.close()

    async def _authenticate(self, reader: MediaBusReader[MessageT]) -> str:
        """Read the hello. Returns the connection id. Raises FeedRefusedError, BrokenStreamError, TimeoutError."""
        self._unauthenticated += 1
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_SECONDS):
                hello = await reader.next()
        finally:
            self._unauthenticated -= 1
        return self._listener.feed_connected(hello, reader.send, self._clock())

    async def _read_messages(self, connection_id: str, reader: MediaBusReader[MessageT]) -> None:
        """Read messages until the feed ends."""
        try:
            while True:
                message = await reader.next()
                self._listener.feed_received(connection_id, message, self._clock())
        except (BrokenStreamError, FeedRefusedError) as error:
            _log.info("feed ended", connection_id=connection_id, detail=str(error))
        except Exception:  # noqa: BLE001 - an error in one feed must not stop the others
            _log.exception("feed failed", connection_id=connection_id)
        if self._open.pop(connection_id, None) is not None:
            self._listener.feed_closed(connection_id)
