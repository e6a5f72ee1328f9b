"""The offers that are in progress at LiveKit: their bounds, and what is undone if one has no answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from stagebook.media.connection_statistics import ConnectionRole
from stagebook.media.livekit.facts.room_connections import RoomConnection
from stagebook.media.livekit.livekit_rooms import LiveKitRooms
from stagebook.media.livekit.offers.peer_opening import OpenConnection, OpenConnections
from stagebook.media.livekit.room_service import RoomServiceError
from stagebook.media.livekit.room_tasks import RoomTasks
from stagebook.media.port import MediaRefusedError, RefusalReason

MAX_EXCHANGES: Final = 256
"""Offers that are in progress at LiveKit at the same time."""


def room_refusal(error: RoomServiceError) -> MediaRefusedError:
    """Return the refusal of an offer for which LiveKit makes no room. Its text has no addresses: peers see it."""
    if not error.is_answered:
        return MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="LiveKit does not answer")
    # Without its Redis LiveKit answers with an error. It makes rooms again some seconds later.
    return MediaRefusedError(reason=RefusalReason.BUSY, detail="LiveKit makes no rooms at the moment")


class OfferExchanges:
    """The offers of one engine."""

    def __init__(
        self,
        *,
        rooms: LiveKitRooms,
        open_connections: OpenConnections,
        tasks: RoomTasks,
        make_room: Callable[[str], Awaitable[None]],
        max_connections: int,
    ) -> None:
        """`make_room` makes a room in LiveKit, and raises RoomServiceError."""
        self._rooms = rooms
        self._open = open_connections
        self._tasks = tasks
        self._make_room = make_room
        self._max_connections = max_connections
        self.in_progress = 0

    def require_capacity(self) -> None:
        """Raise MediaRefusedError (BUSY) if there are too many connections or exchanges."""
        if len(self._rooms) >= self._max_connections:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the server has too many connections")
        if self.in_progress >= MAX_EXCHANGES:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="too many offers are in progress at LiveKit")

    async def answer(self, connection: RoomConnection, opened: OpenConnection) -> str:
        """Return LiveKit's answer to an offer. Without one, the connection is forgotten. Raises MediaRefusedError."""
        self._open.put(connection.connection_id, opened)
        self.in_progress += 1
        try:
            if connection.role is ConnectionRole.PUBLISHER:
                await self._require_room(connection.room)
            answer = await opened.peer.open()
            if self._open.get(connection.connection_id) is not opened:
                raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="the source has ended")
        except BaseException:
            # It may have been closed before its websocket was open.
            self._open.pop(connection.connection_id)
            self._forget(connection, opened)
            raise
        finally:
            self.in_progress -= 1
        # The caller knows the connection when it has the answer.
        asyncio.get_running_loop().call_soon(self._rooms.note_answered, connection.connection_id)
        return answer

    async def _require_room(self, room: str) -> None:
        try:
            await self._make_room(room)
        except RoomServiceError as error:
            raise room_refusal(error) from error

    def _forget(self, connection: RoomConnection, opened: OpenConnection) -> None:
        """Forget a connection whose offer has no answer, also at LiveKit, with its room if nobody else needs that."""
        self._rooms.close(connection.connection_id)
        self._tasks.remove_participant(connection.room, connection.connection_id, after=opened.peer.close)
        if not self._rooms.is_open(connection.source_id):
            self._tasks.delete_room(
                connection.room, after=opened.peer.close, unless=lambda: self._rooms.is_open(connection.source_id)
            )
