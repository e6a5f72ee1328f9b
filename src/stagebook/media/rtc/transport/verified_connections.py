"""The TCP connections of an engine whose first check was verified, by the peer that they belong to.

Their number has a limit. A participant can have some hundred media connections, and each may have 16 TCP connections,
so a few tokens are enough to reach it. At the limit, the peer with the most of them loses its oldest one. The limit is
twice that of media connections, so a peer with two TCP connections loses none.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from stagebook.media.rtc.ice.tcp_connection import TcpConnection
from stagebook.media.rtc.transport.peer_connection import PeerConnection

Entry = TypeVar("Entry")


class VerifiedConnections(Generic[Entry]):
    """The verified connections, oldest first. The owner keeps an entry for each."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._entries: dict[TcpConnection, tuple[Entry, PeerConnection]] = {}
        self._count_of: Counter[PeerConnection] = Counter()

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._entries)

    def __iter__(self) -> Iterator[TcpConnection]:
        """Iterate over the connections."""
        return iter(self._entries)

    def entries(self) -> list[Entry]:
        """Return the entries of all connections."""
        return [entry for entry, _ in self._entries.values()]

    def get(self, connection: TcpConnection) -> Entry | None:
        """Return the entry of a connection; None if it is not here."""
        found = self._entries.get(connection)
        return None if found is None else found[0]

    def add(self, connection: TcpConnection, entry: Entry, peer: PeerConnection) -> Entry | None:
        """Add a connection of `peer`. Return the entry of a connection that has to be closed, or None.

        The work is linear in the number of connections, and only at the limit.
        """
        self._entries[connection] = (entry, peer)
        self._count_of[peer] += 1
        if len(self._entries) <= self._maximum:
            return None
        ((most, _),) = self._count_of.most_common(1)
        return next(entry for entry, owner in self._entries.values() if owner is most)

    def pop(self, connection: TcpConnection) -> Entry | None:
        """Remove a connection and return its entry; None if it is not here."""
        found = self._entries.pop(connection, None)
        if found is None:
            return None
        entry, peer = found
        self._count_of[peer] -= 1
        if not self._count_of[peer]:
            del self._count_of[peer]
        return entry
