"""The connections to the owners: one pool for each run, with a bound on what is in progress.

Connections are kept open for IDLE_SECONDS. The internal server keeps them longer, so it does not close one at the
moment in which the next request is sent over it: such a request could not be repeated.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.forwarding.owner_connection import OwnerConnection

CONNECT_TIMEOUT_SECONDS: Final = 2.0
IDLE_SECONDS: Final = 15.0
MAXIMUM_IDLE: Final = 64
MAXIMUM_IN_PROGRESS: Final = 20_000
"""Requests in progress to one owner, open event streams included. As many as the server for clients admits by default,
so that one client network, which has half of these places, cannot keep the others from an owner."""


class OwnerUnreachableError(Exception):
    """No connection to the owner can be opened. Nothing was sent."""


class TooManyForwardedError(Exception):
    """More requests or websockets are in progress to one owner than are allowed."""


class OwnerPool:
    """The connections to one run of a node. `monotonic` returns seconds of a clock that never goes back."""

    def __init__(
        self,
        owner: AccountOwner,
        *,
        maximum: int = MAXIMUM_IN_PROGRESS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = owner
        self._maximum = maximum
        self._monotonic = monotonic
        self._idle: list[OwnerConnection] = []
        """The newest last."""
        self._used: set[OwnerConnection] = set()
        self._opening = 0
        self.opened = 0
        """Connections that were opened."""

    @property
    def in_progress(self) -> int:
        """Requests that have a connection, or wait for one."""
        return len(self._used) + self._opening

    async def take(self) -> OwnerConnection:
        """Return a connection for one request. Raises OwnerUnreachableError and TooManyForwardedError."""
        if self.in_progress >= self._maximum:
            raise TooManyForwardedError
        oldest_seconds = self._monotonic() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_lost and connection.idle_since_seconds > oldest_seconds:
                self._used.add(connection)
                return connection
            connection.close()
        self._opening += 1
        try:
            connection = await self._open()
        finally:
            self._opening -= 1
        self._used.add(connection)
        return connection

    def give_back(self, connection: OwnerConnection) -> None:
        """Keep a connection for the next request, or end it if its response is not complete."""
        self._used.discard(connection)
        if connection.is_reusable and len(self._idle) < MAXIMUM_IDLE:
            connection.idle_since_seconds = self._monotonic()
            self._idle.append(connection)
            self._close_old()
        elif not connection.is_lost:
            connection.abort()

    def close(self) -> None:
        """End all connections. Callers that wait for a response get OwnerLostError."""
        for connection in (*self._idle, *self._used):
            connection.abort()
        self._idle.clear()

    def _close_old(self) -> None:
        oldest_seconds = self._monotonic() - IDLE_SECONDS
        while self._idle[0].idle_since_seconds <= oldest_seconds:
            self._idle.pop(0).close()

    async def _open(self) -> OwnerConnection:
        host, port = address_of(self.owner)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                _, connection = await loop.create_connection(lambda: OwnerConnection(on_lost=self._on_lost), host, port)
        except OSError as error:  # TimeoutError is one
            raise OwnerUnreachableError(str(error)) from error
        self.opened += 1
        return connection

    def _on_lost(self, connection: OwnerConnection) -> None:
        self._used.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def address_of(owner: AccountOwner) -> tuple[str, int]:
    """Return the host and the port of the internal server of an owner.

    Raises OwnerUnreachableError for a node without one: it was started without `internal_listen`.
    """
    if not owner.internal_url:
        raise OwnerUnreachableError("the node has no internal server")
    parts = urlsplit(owner.internal_url)
    return parts.hostname or "", parts.port or 80
