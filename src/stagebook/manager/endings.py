"""How connections end: by their peers, by a limit, by the API, with their publisher, or with everything.

Owns the cascade (a publication that ends takes its viewers' subscriptions along) and tells the engine what to close.
Knows no offers and no tokens.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from stagebook.book.port import Change
from stagebook.manager.board import Board
from stagebook.manager.ledger import Ledger
from stagebook.manager.live import LiveSession, LiveStages
from stagebook.manager.watchers import FarewellReason
from stagebook.media.port import MediaEngine
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.facts import Cut, Exchanged, Gone
from stagebook.stage.participant import Connection, ConnectionKind

FAREWELLS = {
    Cause.DISCONNECTED_BY_API: FarewellReason.DISCONNECTED,
    Cause.STAGE_DELETED: FarewellReason.STAGE_DELETED,
    Cause.SHUTDOWN: FarewellReason.SHUTDOWN,
    Cause.CONNECTION_TOKEN_REVOKED: FarewellReason.CONNECTION_TOKEN_REVOKED,
}


class Endings:
    """Ends connections, in the book and in the engine."""

    def __init__(self, *, ledger: Ledger, board: Board, media: MediaEngine) -> None:
        self._ledger = ledger
        self._live: LiveStages = ledger.live
        self._board = board
        self._media = media
        self._orders: set[asyncio.Task[None]] = set()

    def gone(
        self,
        session: LiveSession,
        participant_id: str,
        connection_ids: Iterable[str],
        *,
        cause: Cause,
        detail: str | None = None,
    ) -> list[Change]:
        """Record that connections of one participant ended, with all that follows; return the changes to commit."""
        changes: list[Change] = []
        self._gone(session, participant_id, tuple(connection_ids), changes, cause=cause, detail=detail)
        return changes

    def everybody_gone(self, session: LiveSession, *, cause: Cause, detail: str | None = None) -> list[Change]:
        """Record that every participant of a session is gone for the same reason; return the changes to commit."""
        changes: list[Change] = []
        for participant_id, live in tuple(session.participants.items()):
            if live.machine.connections:
                connection_ids = tuple(live.machine.connections)
                self._gone(session, participant_id, connection_ids, changes, cause=cause, detail=detail, cascade=False)
        return changes

    def cut(
        self,
        session: LiveSession,
        participant_id: str,
        connection_id: str,
        code: ErrorCode,
        *,
        cause: Cause = Cause.LIMIT,
        detail: str | None = None,
    ) -> list[Change]:
        """Record that the server ended a publish or subscribe connection; return the changes to commit."""
        changes: list[Change] = []
        live = session.participants[participant_id]
        connection = live.machine.connections[connection_id]
        fact = Cut(connection_id=connection_id, code=code, cause=cause, detail=detail)
        self._ledger.write(session, live, [fact], changes)
        self._live.drop_route(connection_id, remote_participant_id=connection.remote_participant_id)
        self._release(session, participant_id, connection_id, connection, changes, cascade=True)
        return changes

    def exchanged(self, session: LiveSession, participant_id: str, fact: Exchanged) -> list[Change]:
        """Record a token exchange, with the end of all that the new token does not allow; return the changes."""
        changes: list[Change] = []
        live = session.participants[participant_id]
        before = live.machine.connections
        self._ledger.write(session, live, [fact], changes)
        lost = {each: connection for each, connection in before.items() if each not in live.machine.connections}
        for connection_id, connection in lost.items():
            self._live.drop_route(connection_id, remote_participant_id=connection.remote_participant_id)
        for connection_id, connection in lost.items():
            self._release(session, participant_id, connection_id, connection, changes, cascade=True)
        return changes

    def _gone(
        self,
        session: LiveSession,
        participant_id: str,
        connection_ids: tuple[str, ...],
        changes: list[Change],
        *,
        cause: Cause,
        detail: str | None,
        cascade: bool = True,
    ) -> None:
        live = session.participants[participant_id]
        connections = live.machine.connections
        fact = Gone(connection_ids=connection_ids, cause=cause, detail=detail)
        self._ledger.write(session, live, [fact], changes)
        # All routes go before any cascade: a participant may watch itself.
        for connection_id in connection_ids:
            remote_participant_id = connections[connection_id].remote_participant_id
            self._live.drop_route(connection_id, remote_participant_id=remote_participant_id)
        for connection_id in connection_ids:
            connection = connections[connection_id]
            if connection.kind is ConnectionKind.EVENTS and cause in FAREWELLS:
                self._board.farewell(session.stage_arn, connection_id, FAREWELLS[cause], detail or "")
            self._release(session, participant_id, connection_id, connection, changes, cascade=cascade)

    def _release(
        self,
        session: LiveSession,
        participant_id: str,
        connection_id: str,
        connection: Connection,
        changes: list[Change],
        *,
        cascade: bool,
    ) -> None:
        if connection.kind is ConnectionKind.EVENTS:
            self._board.remove(session.stage_arn, connection_id)
        elif connection.kind is ConnectionKind.SUBSCRIBE:
            self._order(self._media.close(connection_id=connection_id))
        else:
            self._publication_ended(session, participant_id, changes, cascade=cascade)

    def _publication_ended(
        self, session: LiveSession, participant_id: str, changes: list[Change], *, cascade: bool
    ) -> None:
        slot = self._live.slots.pop((session.stage_arn, participant_id), None)
        if slot is not None:
            self._order(self._media.end_source(source_id=slot.source_id))
        if not cascade:
            return
        by_viewer: dict[str, list[str]] = {}
        for connection_id, viewer_id in session.viewers.get(participant_id, {}).items():
            by_viewer.setdefault(viewer_id, []).append(connection_id)
        for viewer_id, connection_ids in by_viewer.items():
            self._gone(
                session,
                viewer_id,
                tuple(connection_ids),
                changes,
                cause=Cause.PUBLISHER_STOPPED,
                detail=None,
            )

    def _order(self, order: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(order)
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)

    async def settled(self) -> None:
        """Wait until the engine has been told everything."""
        while self._orders:
            await asyncio.gather(*self._orders, return_exceptions=True)
