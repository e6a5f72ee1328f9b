"""How connections end: by their peers, by a limit, by the API, with their publisher, or with everything.

Owns the cascade (a publication that ends takes its viewers' subscriptions along, its replicas and theirs) and tells
the engine what to close. Knows no offers and no tokens.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from stagebook.book.changes import Change
from stagebook.manager.participants.replicas import Replicas
from stagebook.manager.presence.presence import PresencePublisher
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.manager.session.running_sessions import LiveParticipant, LiveReplication, LiveSession, RunningSessions
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.media.port import MediaEngine
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.facts import Cut, Exchanged, Gone
from stagebook.stage.participant import Connection, ConnectionKind
from stagebook.stage.resources import Capability

FAREWELLS = {
    Cause.DISCONNECTED_BY_API: FarewellReason.DISCONNECTED,
    Cause.STAGE_DELETED: FarewellReason.STAGE_DELETED,
    Cause.SHUTDOWN: FarewellReason.SHUTDOWN,
    Cause.CONNECTION_TOKEN_REVOKED: FarewellReason.CONNECTION_TOKEN_REVOKED,
}


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Why connections end. Without `cascade`, everybody on the stage ends by itself, for the same reason."""

    cause: Cause
    code: ErrorCode | None = None
    detail: str | None = None
    cascade: bool = True

    @property
    def words(self) -> str:
        """What an encoder is told: the error code or the farewell, and the detail."""
        return ": ".join(part for part in (self.code or FAREWELLS.get(self.cause), self.detail) if part)


class Teardown:
    """Ends connections, in the book and in the engine."""

    def __init__(self, *, ledger: UnitOfWork, board: PresencePublisher, media: MediaEngine, replicas: Replicas) -> None:
        self._ledger = ledger
        self._live: RunningSessions = ledger.live
        self._board = board
        self._media = media
        self._replicas = replicas
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
            if live.machine.connections or live.machine.replications:
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
        ended = self._replicas.ending_with(
            live, publication_ended=connection_id == live.machine.publication_id, cause=cause
        )
        fact = Cut(connection_id=connection_id, code=code, replication_ids=_ids(ended), cause=cause, detail=detail)
        self._follow(session, live, fact, ended, changes)
        return changes

    def exchanged(self, session: LiveSession, participant_id: str, fact: Exchanged) -> list[Change]:
        """Record a token exchange, with the end of all that the new token does not allow; return the changes."""
        changes: list[Change] = []
        live = session.participants[participant_id]
        unpublished = (
            live.machine.publication_id is not None and Capability.PUBLISH not in fact.exchange.new.capabilities
        )
        ended = self._replicas.ending_with(live, publication_ended=unpublished, cause=Cause.TOKEN_EXCHANGED)
        self._follow(session, live, replace(fact, replication_ids=_ids(ended)), ended, changes)
        return changes

    def stop_replication(
        self, replication: LiveReplication, changes: list[Change], *, cause: Cause, detail: str | None = None
    ) -> None:
        """Record that a replication ended by itself, while its publisher goes on or is away already."""
        self._replicas.stop_at_source(replication, cause=cause, detail=detail, changes=changes)
        self._replica_gone(replication, changes, cause=cause, detail=detail)

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
        ended = self._replicas.ending_with(
            live, publication_ended=live.machine.publication_id in connection_ids, cause=cause
        )
        fact = Gone(connection_ids=connection_ids, replication_ids=_ids(ended), cause=cause, detail=detail)
        self._follow(session, live, fact, ended, changes, cascade=cascade)

    def _follow(
        self,
        session: LiveSession,
        live: LiveParticipant,
        fact: Gone | Cut | Exchanged,
        ended: Iterable[LiveReplication],
        changes: list[Change],
        *,
        cascade: bool = True,
    ) -> None:
        """Record a fact that ends connections of one participant, and replications of it, with all that follows."""
        before = live.machine.connections
        self._ledger.write(session, live, [fact], changes)
        after = live.machine.connections
        lost = {each: connection for each, connection in before.items() if each not in after}
        cause = Cause.TOKEN_EXCHANGED if isinstance(fact, Exchanged) else fact.cause
        code = fact.code if isinstance(fact, Cut) else None
        end = End(cause=cause, code=code, detail=fact.detail, cascade=cascade)
        # All routes go before any cascade: a participant may watch itself.
        for connection_id, connection in lost.items():
            self._live.drop_route(connection_id, remote_participant_id=connection.remote_participant_id)
        for replication in ended:
            self._replica_gone(replication, changes, cause=cause, detail=fact.detail)
        for connection_id, connection in lost.items():
            self._release(session, live, connection_id, connection, end, changes)

    def _release(
        self,
        session: LiveSession,
        live: LiveParticipant,
        connection_id: str,
        connection: Connection,
        end: End,
        changes: list[Change],
    ) -> None:
        match connection.kind:
            case ConnectionKind.EVENTS if end.cause in FAREWELLS:
                self._board.farewell(session.stage_arn, connection_id, FAREWELLS[end.cause], end.detail or "")
            case ConnectionKind.EVENTS:
                self._board.remove(session.stage_arn, connection_id)
            case ConnectionKind.SUBSCRIBE:
                self._order(self._media.close(connection_id=connection_id))
            case ConnectionKind.PUBLISH:
                self._publication_ended(session, live, connection_id, end, changes)
            case ConnectionKind.REDUNDANT:
                self._order(self._media.close(connection_id=connection_id, detail=end.words))
                if live.virtual_id is not None:
                    self._stream_ended(session, live.virtual_id, connection_id, end, changes)
            case ConnectionKind.REPLICA:
                replication = self._live.replications[connection_id]
                self._replicas.stop_at_source(replication, cause=end.cause, detail=end.detail, changes=changes)
                self._replicas.forget(replication, changes)
                self._viewers_gone(session, live.record.participant_id, end, changes)

    def _publication_ended(
        self, session: LiveSession, live: LiveParticipant, connection_id: str, end: End, changes: list[Change]
    ) -> None:
        participant_id = live.record.participant_id
        slot = self._live.slots[session.stage_arn, participant_id]
        if slot.is_awaited:
            # The publisher is on its way back: ending the source would silently end the connection it comes by.
            self._order(self._media.close(connection_id=connection_id, detail=end.words))
        else:
            self._end_source(session, participant_id, end)
        self._viewers_gone(session, participant_id, end, changes)
        for replication in self._replicas.of(live):
            self._replicas.pause(replication, cause=end.cause, detail=end.detail, changes=changes)
            self._viewers_gone(replication.destination, participant_id, end, changes)

    def _stream_ended(
        self, session: LiveSession, virtual_id: str, connection_id: str, end: End, changes: list[Change]
    ) -> None:
        """Let a virtual participant go with the last of the redundant streams that flow."""
        slot = self._live.slots[session.stage_arn, virtual_id]
        slot.streams.discard(connection_id)
        virtual = session.participants.get(virtual_id)
        publication_id = virtual.machine.publication_id if virtual else None
        if publication_id is None:
            if not slot.is_awaited:
                self._end_source(session, virtual_id, end)
        elif not self._live.is_fed(slot):
            self._gone(
                session,
                virtual_id,
                (publication_id,),
                changes,
                cause=end.cause,
                detail=end.detail,
                cascade=end.cascade,
            )

    def _end_source(self, session: LiveSession, publisher_id: str, end: End) -> None:
        slot = self._live.slots.pop((session.stage_arn, publisher_id))
        self._order(self._media.end_source(source_id=slot.source_id, detail=end.words))

    def _replica_gone(
        self, replication: LiveReplication, changes: list[Change], *, cause: Cause, detail: str | None
    ) -> None:
        self._replicas.stop_at_destination(replication, cause=cause, detail=detail, changes=changes)
        self._replicas.forget(replication, changes)
        end = End(cause=cause, detail=detail)
        self._viewers_gone(replication.destination, replication.participant_id, end, changes)

    def _viewers_gone(self, session: LiveSession, publisher_id: str, end: End, changes: list[Change]) -> None:
        if not end.cascade:
            return
        by_viewer: dict[str, list[str]] = {}
        for connection_id, viewer_id in session.viewers.get(publisher_id, {}).items():
            by_viewer.setdefault(viewer_id, []).append(connection_id)
        for viewer_id, connection_ids in by_viewer.items():
            self._gone(session, viewer_id, tuple(connection_ids), changes, cause=Cause.PUBLISHER_STOPPED, detail=None)

    def _order(self, order: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(order)
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)

    async def settled(self) -> None:
        """Wait until the engine has been told everything."""
        while self._orders:
            await asyncio.gather(*self._orders, return_exceptions=True)


def _ids(replications: Iterable[LiveReplication]) -> tuple[str, ...]:
    return tuple(replication.replication_id for replication in replications)
