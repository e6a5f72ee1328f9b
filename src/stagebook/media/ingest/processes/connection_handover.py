"""Handing accepted connections from the server to an ingest process.

One datagram on a local socket is one connection: a msgpack body, and the connection's descriptor as ancillary data
(SCM_RIGHTS, unix(7)). The queue is short: a process that does not take its connections gets no more, and others do.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

_MAX_BODY_BYTES: Final = 512
_QUEUE_BYTES: Final = 4 << 10
"""About ten connections on Linux, which counts the buffers of the queue and not their contents."""

_log = structlog.get_logger(__name__)


class HandedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted connection. `ask_id` identifies it in the server and in the process."""

    ask_id: str
    address: str
    """The encoder's IP address."""
    is_secure: bool
    """Whether it arrived at the port of RTMPS."""
    is_relayed: bool = False
    """Whether another node has received it, and sends its bytes from the first one on (`encoder_relay`)."""


class HandoverSender:
    """The server's end for one ingest process. It outlives the runs of the process."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._near, self._far):
            end.setblocking(False)  # noqa: FBT003 - the standard library's
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_BYTES)

    @property
    def descriptor(self) -> int:
        """The descriptor that each run of the process inherits."""
        return self._far.fileno()

    def send(self, connection: HandedConnection, accepted: socket.socket) -> bool:
        """Hand over a connection. The caller closes its own descriptor of it.

        Returns False if the process has not taken the connections before it.
        """
        try:
            socket.send_fds(self._near, [msgspec.msgpack.encode(connection)], [accepted.fileno()])
        except OSError:
            return False
        return True

    def close_untaken(self) -> None:
        """Close the connections that a run of the process has not taken. The run has ended."""
        with contextlib.suppress(BlockingIOError):
            while True:
                _, descriptors, _, _ = socket.recv_fds(self._far, _MAX_BODY_BYTES, 1)
                for descriptor in descriptors:
                    os.close(descriptor)

    def close(self) -> None:
        """Close both ends, and the connections between them."""
        self._near.close()
        self._far.close()


class HandoverReceiver:
    """The end of an ingest process. It takes one connection per turn of the event loop."""

    def __init__(
        self, far: socket.socket, *, on_connection: Callable[[HandedConnection, socket.socket | None], None]
    ) -> None:
        """`on_connection` gets None if the process had no free descriptor; the connection is closed then."""
        self._far = far
        self._on_connection = on_connection

    def start(self) -> None:
        """Take connections from now on."""
        self._far.setblocking(False)  # noqa: FBT003 - the standard library's
        asyncio.get_running_loop().add_reader(self._far, self._take)

    def stop(self) -> None:
        """Take no more connections."""
        asyncio.get_running_loop().remove_reader(self._far)

    def _take(self) -> None:
        try:
            body, descriptors, _, _ = socket.recv_fds(self._far, _MAX_BODY_BYTES, 1)
        except OSError as error:
            _log.error("cannot take a connection", detail=error.strerror)
            return
        connection = msgspec.msgpack.decode(body, type=HandedConnection)
        accepted = socket.socket(fileno=descriptors[0]) if descriptors else None
        if accepted is not None:
            accepted.setblocking(False)  # noqa: FBT003 - the standard library's
        self._on_connection(connection, accepted)
