"""The HTTP connections that wait for a request, so that one of them can make room at the limit of connections.

Anybody can open connections that send nothing, from as many networks as it has. Each new connection above the limit
therefore closes the one that has waited longest for a request. An honest client sends its request at once, and expects
that an idle connection may be closed at any time (RFC 9112 section 9.5).
"""

from typing import Protocol


class IdleConnection(Protocol):
    """A connection without a request in progress."""

    def close_idle(self) -> None:
        """Close the connection."""


class IdleConnections:
    """The idle connections of a server, in the order in which they began to wait."""

    def __init__(self) -> None:
        self._waiting: dict[IdleConnection, None] = {}

    def __len__(self) -> int:
        """The number of idle connections."""
        return len(self._waiting)

    def add(self, connection: IdleConnection) -> None:
        """A connection begins to wait. One that waits already keeps its place."""
        self._waiting.setdefault(connection)

    def discard(self, connection: IdleConnection) -> None:
        """A connection has received a request, or has ended. Other connections are ignored."""
        self._waiting.pop(connection, None)

    def close_oldest(self) -> None:
        """Close the connection that has waited longest, if any waits."""
        oldest = next(iter(self._waiting), None)
        if oldest is not None:
            del self._waiting[oldest]
            oldest.close_idle()
