"""Handing a TCP connection to the engine process whose ICE username fragment its first check names.

All engine processes accept on the same listening sockets, and any of them may get a connection. One datagram on a local
socket is one connection: the bytes that were read from it, and its descriptor as ancillary data (SCM_RIGHTS, unix(7)).
Each engine has an inbox, into which all others write. The server makes the sockets, so they outlive an engine process.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from stagebook.media.rtc.ice.tcp_connection import READ_SIZE_BYTES
from stagebook.media.rtc.ice.tcp_framing import LENGTH_SIZE_BYTES
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

MAX_BODY_BYTES: Final = READ_SIZE_BYTES + LENGTH_SIZE_BYTES + MAX_PACKET_SIZE_BYTES
"""What one read adds to an unfinished frame."""
MAX_TAKEN_AT_ONCE: Final = 16
"""After that the event loop serves other sockets and timers."""

_log = structlog.get_logger(__name__)


class TcpHandover:
    """One engine's inbox, and the outboxes to the other engines. It closes none of the sockets."""

    def __init__(self, *, inbox: socket.socket, outboxes: Mapping[int, socket.socket]) -> None:
        """The sockets are unix datagram sockets, non-blocking. `outboxes` by the number of the engine."""
        self._inbox = inbox
        self._outboxes = outboxes

    def send(self, engine_number: int, data: bytes, accepted: socket.socket) -> bool:
        """Hand a connection over, from which `data` was read. The caller closes its own descriptor of it.

        Returns False if there is no such engine, or if it does not take its connections.
        """
        outbox = self._outboxes.get(engine_number)
        if outbox is None:
            return False
        try:
            socket.send_fds(outbox, [data], [accepted.fileno()])
        except OSError:
            return False
        return True

    def start(self, loop: asyncio.AbstractEventLoop, on_connection: Callable[[bytes, socket.socket], None]) -> None:
        """Call `on_connection` with the bytes and the socket of each connection that another engine hands over."""
        loop.add_reader(self._inbox.fileno(), self._take, on_connection)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take no more connections."""
        loop.remove_reader(self._inbox.fileno())

    def _take(self, on_connection: Callable[[bytes, socket.socket], None]) -> None:
        for _ in range(MAX_TAKEN_AT_ONCE):
            try:
                data, descriptors, _, _ = socket.recv_fds(self._inbox, MAX_BODY_BYTES, 1)
            except BlockingIOError:
                return
            except OSError as error:
                _log.error("cannot take a TCP connection of media", detail=error.strerror)
                return
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            if descriptors:
                on_connection(data, socket.socket(fileno=descriptors[0]))
