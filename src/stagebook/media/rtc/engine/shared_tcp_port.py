"""The TCP port that all engine processes share: its listening sockets, and the local sockets between the engines.

Operators open one TCP port, however many engines there are. The server binds it, and each engine process inherits the
listening sockets and accepts on them; the server itself reads and accepts nothing. A connection that reached the wrong
engine goes to the right one through its inbox (`tcp_handover`).

The sockets outlive an engine process. While one restarts, its connections wait in its inbox, and new ones are accepted
by the others or wait in the accept queue.
"""

import socket
from collections.abc import Sequence

from stagebook.media.rtc.engine.engine_messages import TcpDescriptors
from stagebook.media.rtc.ice.tcp_listener import bind_tcp_listeners


class SharedTcpPort:
    """The sockets of TCP of a pool."""

    def __init__(self, bind_addresses: Sequence[str], port: int, *, engines: int) -> None:
        """Bind the port; 0 lets the system choose. Raises OSError if an address cannot be bound."""
        self._listeners = bind_tcp_listeners(bind_addresses, port)
        self.port: int = self._listeners[0].getsockname()[1]
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(engines)]
        """For each engine the end that the others write to, and its inbox."""
        for pair in self._pairs:
            for end in pair:
                end.setblocking(False)  # noqa: FBT003 - the standard library's

    def descriptors(self, engine_number: int) -> TcpDescriptors:
        """The descriptors that an engine inherits."""
        return TcpDescriptors(
            listeners=tuple(listener.fileno() for listener in self._listeners),
            inbox=self._pairs[engine_number][1].fileno(),
            outboxes={number: near.fileno() for number, (near, _) in enumerate(self._pairs) if number != engine_number},
        )

    def close(self) -> None:
        """Release the port. Connections that no engine has taken are closed."""
        for each in (*self._listeners, *(end for pair in self._pairs for end in pair)):
            each.close()
