"""The TCP listen sockets of the server: HTTP, RTMP and RTMPS, and HTTP for other nodes.

All sockets are bound before anything else is started, so that a port that is in use is reported at once.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from stagebook.config.rules import Address
from stagebook.config.settings import SETTINGS, Settings

BACKLOG = 2_048
"""Maximum number of connections that wait to be accepted. The kernel may lower it (net.core.somaxconn on Linux)."""


class ListenError(Exception):
    """A listen socket cannot be bound. The message names the setting and says what to do."""


class ListenSockets(msgspec.Struct, frozen=True, kw_only=True):
    """The bound sockets of a server. A protocol that is switched off has none."""

    http: socket.socket
    rtmp: socket.socket | None
    rtmps: socket.socket | None
    internal: socket.socket | None = None
    """Where other nodes reach this one."""


@contextmanager
def open_listen_sockets(settings: Settings) -> Iterator[ListenSockets]:
    """Bind every socket that the settings require. Leaving the context closes them. Raises ListenError."""
    with ExitStack() as sockets:

        def bind(address: Address | None, *, setting: str) -> socket.socket | None:
            return None if address is None else sockets.enter_context(bind_listen_socket(address, setting=setting))

        yield ListenSockets(
            http=sockets.enter_context(bind_listen_socket(settings.address)),
            rtmp=bind(settings.rtmp_address, setting="rtmp_listen"),
            rtmps=bind(settings.rtmps_address, setting="rtmps_listen"),
            internal=bind(settings.internal_address, setting="internal_listen"),
        )


def bind_listen_socket(address: Address, *, setting: str = "listen") -> socket.socket:
    """Return a listening TCP socket for the address. Raises ListenError, which names `setting`."""
    bound = None
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(target)
        bound.listen(BACKLOG)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise ListenError(f"{setting}: cannot listen on {address}: {error.strerror}; {_remedy(setting)}") from error
    return bound


def _remedy(setting: str) -> str:
    remedy = f"choose another address with {SETTINGS[setting].flag} HOST:PORT"
    return remedy if setting == "listen" else f'{remedy}, or switch it off with {SETTINGS[setting].flag} ""'
