"""The listening TCP sockets of media: one for each bind address, all with the same port.

A wildcard address needs no further sockets, as it does for UDP (`wildcard_socket`): an accepted connection has the
local address that the peer has connected to.
"""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

BACKLOG: Final = 1_024
"""Connections that wait to be accepted. The kernel may lower it (net.core.somaxconn on Linux)."""


def bind_tcp_listeners(bind_addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Return a listening, non-blocking socket for each address. With port 0 the system chooses the port for the first.

    Raises OSError if an address cannot be bound; the sockets bound before it are closed.
    """
    listeners: list[socket.socket] = []
    try:
        for bind_address in bind_addresses:
            listeners.append(_listen(bind_address, port))
            port = listeners[0].getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(bind_address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ip_address(bind_address).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's
        # Connections of an earlier server on the port may still be in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # With V6ONLY off, "::" also takes the IPv4 port, and binding "0.0.0.0" beside it would fail.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((bind_address, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
