"""The history of a LiveKit server: webhooks and polls go into the book, as one writer.

start:  the sessions that are open in the book are taken over -> polls begin
end:    polls stop. The sessions stay open in the book: the next run goes on with them
"""

import asyncio
from typing import Final

import structlog
from livekit.protocol.webhook import WebhookEvent

from stagebook.book.changes import Change
from stagebook.book.store import BookBusyError, ChangeRefusedError, Durable
from stagebook.livekit_history.livekit_messages import polled_people, rooms_listed, webhook_fact
from stagebook.livekit_history.room_draft import Moment
from stagebook.livekit_history.room_facts import Arrived, ObservedRoom, PolledPerson, RoomFact, RoomPolled
from stagebook.livekit_history.room_ids import participant_id_of
from stagebook.livekit_history.room_machine import RoomMachine
from stagebook.livekit_history.room_past import BookOfRooms
from stagebook.livekit_history.watched_livekit import WatchedLiveKit
from stagebook.manager.session.session_registry import LiveSession, LiveTotals
from stagebook.manager.stage_manager import StageManager
from stagebook.media.livekit.room_service import RoomService, RoomServiceError
from stagebook.stage.errors import ServerBusyError

PEOPLE_PER_STEP: Final = 500
"""Participants of an answer that are read without a pause: some 6 ms."""

_log = structlog.get_logger(__name__)


class RoomHistory:
    """Watches one LiveKit server. It is the only part that writes sessions of rooms."""

    def __init__(
        self,
        manager: StageManager,
        service: RoomService,
        *,
        watched: WatchedLiveKit,
        account_id: str,
    ) -> None:
        """The stages of the rooms belong to `account_id`."""
        self._manager = manager
        self._service = service
        self._watched = watched
        self._past = BookOfRooms(manager.book, manager.stages, region=manager.region, account_id=account_id)
        self._machine = RoomMachine(
            self._past,
            max_rooms=watched.max_rooms,
            max_participants=watched.max_participants,
            on_full=self._full,
        )
        self._is_read = False
        self._differs = False
        """Whether memory is not as the book, so that it must be read again."""
        self._has_failed = False
        self._full_limits: set[str] = set()
        self._polls: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take over what is open in the book, and begin to poll. The stage manager must have been started."""
        self.restore()
        self._polls = asyncio.create_task(self._poll_repeatedly())
        self._polls.add_done_callback(_log_end_of_polls)

    def restore(self) -> None:
        """Take over what is open in the book."""
        self._machine.clear()
        for life in self._past.open_lives():
            self._machine.restore(life)

    async def stop(self) -> None:
        """Stop to poll."""
        if self._polls is not None:
            self._polls.cancel()
            await asyncio.gather(self._polls, return_exceptions=True)

    async def on_webhook(self, event: WebhookEvent) -> None:
        """Record what a webhook tells; return when it is durable.

        Raises ServerBusyError while too much waits for the book, and until the first poll is done: before that, a
        participant that is not known may have been there for hours.
        """
        if not self._is_read:
            raise ServerBusyError("the rooms have not been read yet")
        self._manager.require_capacity()
        fact = webhook_fact(event, now_ms=self._manager.now().wall_ms)
        if fact is not None:
            await self._observe(fact)

    def live_session(self, stage_arn: str) -> LiveSession | None:
        """Return what is live in the room of a stage; None if the room is not open."""
        life = self._machine.lives.get(stage_arn)
        if life is None:
            return None
        return LiveSession(
            session_id=life.session_id,
            start_ms=life.start_ms,
            participants=len(life.people),
            publishers=life.publishers,
            subscriptions=0,
        )

    def totals(self) -> LiveTotals:
        """Return the totals over all rooms. Subscriptions are not known."""
        return LiveTotals(
            sessions=len(self._machine.lives),
            participants=self._machine.people.count,
            publishers=self._machine.people.publishers,
            subscriptions=0,
        )

    async def disconnect(self, stage_arn: str, participant_id: str) -> None:
        """Remove a participant from its room. One that is not there is none. Raises ServerBusyError."""
        life = self._machine.lives.get(stage_arn)
        if life is None or participant_id not in life.people:
            return
        if not life.name:
            raise ServerBusyError("the rooms have not been read yet")
        try:
            for told in await self._service.list_participants(life.name):
                if participant_id_of(told.sid) == participant_id:
                    await self._service.remove_participant(life.name, told.identity)
        except RoomServiceError as error:
            raise ServerBusyError(str(error)) from error

    async def poll(self) -> None:
        """Read all rooms once. Raises RoomServiceError, and BookBusyError if the book could not be read again."""
        if self._differs:
            await self._manager.note_open_events()
            self.restore()
            self._differs = False
        began_ms = self._monotonic_ms()
        listed = rooms_listed(await self._service.list_rooms(), began_ms=began_ms)
        await self._observe(listed)
        first: list[RoomPolled] = []
        for room in listed.rooms:
            await asyncio.sleep(1 / self._watched.calls_per_second)
            polled = await self._poll_room(room)
            if self._is_read:
                await self._observe(polled)
            else:
                first.append(polled)
        if not self._is_read:
            await self._take_first(first)

    async def _take_first(self, polled: list[RoomPolled]) -> None:
        """Record the first poll: everybody's JOINED in the order of LiveKit's times, before anything of this moment."""
        arrivals = [
            Arrived(room=each.room, person=one.person, at_ms=None)
            for each in polled
            for one in each.people
            if one.is_active
        ]
        durable: Durable | None = None
        facts: list[RoomFact] = [*sorted(arrivals, key=lambda each: each.person.joined_ms), *polled]
        for fact in facts:
            durable = self._record(fact) or durable
            await asyncio.sleep(0)
        self._is_read = True
        if durable is not None:
            await durable

    async def _poll_room(self, room: ObservedRoom) -> RoomPolled:
        began_ms = self._monotonic_ms()
        answer = await self._service.list_participants(room.name)
        people: list[PolledPerson] = []
        for start in range(0, len(answer), PEOPLE_PER_STEP):
            people += polled_people(answer[start : start + PEOPLE_PER_STEP])
            await asyncio.sleep(0)
        return RoomPolled(room=room, people=people, began_ms=began_ms)

    async def _poll_repeatedly(self) -> None:
        while True:
            try:
                await self.poll()
            except RoomServiceError as error:
                if not self._has_failed:
                    _log.warning("the rooms of LiveKit cannot be read; trying again", detail=str(error))
                self._has_failed = True
            except ChangeRefusedError:
                pass  # it is logged
            except BookBusyError as error:
                _log.warning("the book cannot be read again; trying again", detail=str(error))
            else:
                if self._has_failed:
                    _log.info("the rooms of LiveKit can be read again")
                self._has_failed = False
            await asyncio.sleep(self._watched.poll_interval_seconds)

    async def _observe(self, fact: RoomFact) -> None:
        durable = self._record(fact)
        if durable is not None:
            await durable
        else:
            # A webhook that came twice: what the first one led to may not be durable yet.
            await self._manager.durable()

    def _record(self, fact: RoomFact) -> Durable | None:
        changes: list[Change] = self._machine.observe(fact, self._moment())
        if not changes:
            return None
        try:
            return self._manager.record(changes)
        except ChangeRefusedError:
            # A defect, or a stage that was deleted in another way. The next poll reads the book and then the rooms, and
            # webhooks wait for it.
            _log.exception("the book refused what was observed in a room", fact=type(fact).__name__)
            self._is_read, self._differs = False, True
            raise

    def _moment(self) -> Moment:
        now = self._manager.now()
        return Moment(wall_ms=now.wall_ms, monotonic_ms=now.monotonic_ms, floor_ms=self._manager.submitted_time_ms)

    def _monotonic_ms(self) -> int:
        return self._manager.now().monotonic_ms

    def _full(self, limit: str) -> None:
        if limit not in self._full_limits:
            self._full_limits.add(limit)
            _log.warning("not everything is recorded: a limit is reached", limit=limit)


def _log_end_of_polls(task: asyncio.Task[None]) -> None:
    """Log the failure of the polls. A failure of the book ends the server, which watches it."""
    if not task.cancelled():
        _log.critical("the rooms of LiveKit are not read any more", exc_info=task.exception())
