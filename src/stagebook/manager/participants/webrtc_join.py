"""How participants come in: publish, subscribe, and the events websocket.

Each way has the same beats: is it allowed, is there room, ask the engine, look again (the world moved while the
engine worked), record, answer.
"""

from stagebook.manager.participants.join_pipeline import Attempt, JoinPipeline, Opened
from stagebook.manager.participants.quotas import Quotas
from stagebook.manager.participants.source_leases import SourceLeases
from stagebook.manager.presence.presence import PresencePublisher
from stagebook.manager.presence.watchers import StageWatcher
from stagebook.manager.session.running_sessions import RunningSessions
from stagebook.media.port import MediaEngine
from stagebook.stage.claims import Claims
from stagebook.stage.events import ErrorCode
from stagebook.stage.facts import Accepted, Replaced
from stagebook.stage.participant import ConnectionKind
from stagebook.stage.resources import ClientInfo


class WebrtcJoin:
    """Brings participants onto stages."""

    def __init__(
        self,
        *,
        live: RunningSessions,
        board: PresencePublisher,
        media: MediaEngine,
        entrance: JoinPipeline,
        room: Quotas,
        slots: SourceLeases,
    ) -> None:
        self._live = live
        self._slots = slots
        self._board = board
        self._media = media
        self._entrance = entrance
        self._room = room

    async def publish(self, claims: Claims, *, offer: str, client: ClientInfo) -> Opened:
        """Take a publisher's offer; see StageManager.publish."""
        attempt = Attempt(claims=claims, client=client, kind=ConnectionKind.PUBLISH, failure="PUBLISH_ERROR")
        await self._entrance.require_room(attempt, self._room.to_publish)
        async with self._slots.held(claims.stage_arn, claims.participant_id) as slot:
            opened = await self._entrance.ask_engine(
                attempt,
                lambda connection_id: self._media.publish(
                    connection_id=connection_id, source_id=slot.source_id, offer=offer
                ),
            )
            await self._accept_publication(attempt, opened.connection_id)
        return opened

    async def _accept_publication(self, attempt: Attempt, connection_id: str) -> None:
        await self._entrance.look_again(attempt, self._room.to_publish, connection_id)
        changes, session, live = self._entrance.enter(attempt)
        former = live.machine.publication_id
        fact: Accepted | Replaced
        if former is None:
            fact = Accepted(connection_id=connection_id, kind="publish")
        else:
            fact = Replaced(connection_id=connection_id, former_connection_id=former)
            self._live.drop_route(former)
        await self._entrance.record(attempt, session, live, fact, changes)

    async def subscribe(self, claims: Claims, *, publisher_id: str, offer: str, client: ClientInfo) -> Opened:
        """Take a viewer's offer; see StageManager.subscribe."""
        attempt = Attempt(
            claims=claims,
            client=client,
            kind=ConnectionKind.SUBSCRIBE,
            failure="SUBSCRIBE_ERROR",
            publisher_id=publisher_id,
        )
        await self._entrance.require_room(attempt, self._room.to_subscribe)
        source_id = self._live.source_id(claims.stage_arn, publisher_id)
        if source_id is None:
            raise await self._not_found(attempt)
        opened = await self._entrance.ask_engine(
            attempt,
            lambda connection_id: self._media.subscribe(connection_id=connection_id, source_id=source_id, offer=offer),
        )
        await self._entrance.look_again(attempt, self._room.to_subscribe, opened.connection_id)
        if self._live.source_id(claims.stage_arn, publisher_id) != source_id:
            await self._media.close(connection_id=opened.connection_id)
            raise await self._not_found(attempt)
        changes, session, live = self._entrance.enter(attempt)
        fact = Accepted(
            connection_id=opened.connection_id,
            kind="subscribe",
            remote_participant_id=publisher_id,
            remote_is_replica=session.has_replica(publisher_id),
        )
        await self._entrance.record(attempt, session, live, fact, changes)
        return opened

    async def open_events(self, claims: Claims, *, watcher: StageWatcher, client: ClientInfo) -> str:
        """Take an events websocket; see StageManager.open_events."""
        attempt = Attempt(claims=claims, client=client, kind=ConnectionKind.EVENTS, failure="JOIN_ERROR")
        await self._entrance.require_room(attempt, self._room.to_connect)
        connection_id = self._entrance.new_connection_id()
        changes, session, live = self._entrance.enter(attempt)
        self._board.add(session.stage_arn, connection_id, watcher)
        fact = Accepted(connection_id=connection_id, kind="events")
        await self._entrance.record(attempt, session, live, fact, changes)
        return connection_id

    async def _not_found(self, attempt: Attempt) -> Exception:
        return await self._entrance.refused(
            attempt, "no such publisher on the stage", code=ErrorCode.PUBLISHER_NOT_FOUND
        )
