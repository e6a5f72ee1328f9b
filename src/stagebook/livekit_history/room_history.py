"""Records the history of a LiveKit server: turns webhooks and polls into changes, and submits these to the book.

start:  restore the sessions that are open in the book -> start to poll
stop:   stop to poll. Open sessions stay open in the book; the next run restores them
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import structlog
from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from stagebook.book.book_errors import BookBusyError, BookDamagedError, BookFailedError, ChangeRefusedError
from stagebook.book.changes import Change
from stagebook.book.store import BookReader, Durable
from stagebook.livekit_history.livekit_messages import polled_participants, rooms_listed, webhook_fact
from stagebook.livekit_history.room_draft import Moment
from stagebook.livekit_history.room_facts import (
    ObservedRoom,
    ParticipantJoined,
    PolledParticipant,
    RoomFact,
    RoomPolled,
)
from stagebook.livekit_history.room_ids import participant_id_of
from stagebook.livekit_history.room_machine import RoomMachine
from stagebook.livekit_history.room_reader import BookRoomReader
from stagebook.livekit_history.watched_livekit import WatchedLiveKit
from stagebook.manager.session.session_registry import LiveSession, LiveTotals
from stagebook.manager.stage_manager import StageManager
from stagebook.media.livekit.livekit_rooms import is_engine_room
from stagebook.media.livekit.room_service import RoomService, RoomServiceError
from stagebook.stage.errors import ServerBusyError

PARTICIPANTS_PER_STEP: Final = 500
"""Participants of a response that are converted before the event loop runs other tasks: about 6 ms."""
LEFT_OUT: Final = "rooms of a Stagebook whose media engine is this LiveKit are not recorded"

_Result = TypeVar("_Result")

_log = structlog.get_logger(__name__)


class RoomHistory:
    """Records one LiveKit server. It is the only writer of sessions of rooms."""

    def __init__(
        self,
        manager: StageManager,
        service: RoomService,
        *,
        book: BookReader,
        watched: WatchedLiveKit,
        account_id: str,
        is_distant: bool = False,
    ) -> None:
        """`book` reads that of the manager. The stages of the rooms belong to `account_id`.

        With `is_distant` a read is a round trip to a database: observations are made in a thread, one after the other.
        """
        self._manager = manager
        self._is_distant = is_distant
        self._order = asyncio.Lock()
        """Held while an observation is made and submitted."""
        self._service = service
        self._watched = watched
        self._reader = BookRoomReader(book, region=manager.region, account_id=account_id)
        self._machine = RoomMachine(
            self._reader,
            max_rooms=watched.max_rooms,
            max_participants=watched.max_participants,
            on_limit=self._limit_reached,
        )
        self.polls = 0
        """The polls of all rooms that were complete."""
        self.failed_polls = 0
        self.polled_ms: int | None = None
        """The monotonic time of the last poll that was complete; None before the first one."""
        self._is_read = False
        self._differs = False
        """Whether the state differs from the book, and must be restored before the next poll."""
        self._has_engine_rooms = False
        self._has_failed = False
        self._reached_limits: set[str] = set()
        self._polls: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Restore the open sessions of the book, and start to poll. The stage manager must have been started."""
        self.restore()
        self._polls = asyncio.create_task(self._poll_repeatedly())
        self._polls.add_done_callback(_log_end_of_polls)

    def restore(self) -> None:
        """Restore the open sessions of the book."""
        self._machine.clear()
        for session in self._reader.open_sessions():
            self._machine.restore(session)

    async def stop(self) -> None:
        """Stop to poll."""
        if self._polls is not None:
            self._polls.cancel()
            await asyncio.gather(self._polls, return_exceptions=True)

    async def on_webhook(self, event: WebhookEvent) -> None:
        """Record a webhook; return when it is durable.

        Raises ServerBusyError while too many changes wait for the book, and until the first poll is done: before that,
        an unknown participant may have joined hours ago, and the webhook does not have that time.
        """
        if not self._is_read:
            raise ServerBusyError("the rooms have not been read yet")
        self._manager.require_capacity()
        fact = webhook_fact(event, now_ms=self._manager.now().wall_ms)
        if fact is not None:
            await self._observe(fact)

    def live_session(self, stage_arn: str) -> LiveSession | None:
        """Return the open session of a stage; None without one."""
        session = self._machine.sessions.get(stage_arn)
        if session is None:
            return None
        return LiveSession(
            session_id=session.session_id,
            start_ms=session.start_ms,
            participants=len(session.participants),
            publishers=session.publishers,
            subscriptions=0,
        )

    def totals(self) -> LiveTotals:
        """Return the totals over all rooms. Subscriptions are not known."""
        return LiveTotals(
            sessions=len(self._machine.sessions),
            participants=self._machine.participants.count,
            publishers=self._machine.participants.publishers,
            subscriptions=0,
        )

    async def disconnect(self, stage_arn: str, participant_id: str) -> None:
        """Remove a participant from its room. Does nothing if it has left. Raises ServerBusyError."""
        session = self._machine.sessions.get(stage_arn)
        if session is None or participant_id not in session.participants:
            return
        if not session.name:
            raise ServerBusyError("the rooms have not been read yet")
        try:
            for info in await self._service.list_participants(session.name):
                if participant_id_of(info.sid) == participant_id:
                    await self._service.remove_participant(session.name, info.identity)
        except RoomServiceError as error:
            raise ServerBusyError(str(error)) from error

    async def poll(self) -> None:
        """Read all rooms once. Raises RoomServiceError, ChangeRefusedError, BookBusyError and ServerBusyError."""
        if self._differs:
            await self._restore_again()
        began_ms = self._monotonic_ms()
        rooms = await self._service.list_rooms()
        self._log_engine_rooms(rooms)
        listed = rooms_listed(rooms, began_ms=began_ms)
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
        self.polls += 1
        self.polled_ms = self._monotonic_ms()

    def _log_engine_rooms(self, rooms: Iterable[models.Room]) -> None:
        """Log once that rooms of a media engine are left out."""
        if not self._has_engine_rooms and any(is_engine_room(room.name) for room in rooms):
            self._has_engine_rooms = True
            _log.info(LEFT_OUT)

    async def _take_first(self, polled: list[RoomPolled]) -> None:
        """Record the first poll: first JOINED of all participants in the order of LiveKit's times, then the rest."""
        arrivals = [
            ParticipantJoined(room=each.room, participant=one.participant, at_ms=None)
            for each in polled
            for one in each.participants
            if one.is_active
        ]
        durable: Durable | None = None
        facts: list[RoomFact] = [*sorted(arrivals, key=lambda each: each.participant.joined_ms), *polled]
        for fact in facts:
            durable = await self._record(fact) or durable
            await asyncio.sleep(0)
        self._is_read = True
        if durable is not None:
            await durable

    async def _poll_room(self, room: ObservedRoom) -> RoomPolled:
        began_ms = self._monotonic_ms()
        answer = await self._service.list_participants(room.name)
        participants: list[PolledParticipant] = []
        for start in range(0, len(answer), PARTICIPANTS_PER_STEP):
            participants += polled_participants(answer[start : start + PARTICIPANTS_PER_STEP])
            await asyncio.sleep(0)
        return RoomPolled(room=room, participants=participants, began_ms=began_ms)

    async def _poll_repeatedly(self) -> None:
        while True:
            try:
                await self.poll()
            except RoomServiceError as error:
                self.failed_polls += 1
                if not self._has_failed:
                    _log.warning("the rooms of LiveKit cannot be read; trying again", detail=str(error))
                self._has_failed = True
            except ChangeRefusedError:
                pass  # `_record` has logged it
            except (BookBusyError, ServerBusyError) as error:
                _log.warning("the open sessions of the book cannot be read; trying again", detail=str(error))
            else:
                if self._has_failed:
                    _log.info("the rooms of LiveKit can be read again")
                self._has_failed = False
            await asyncio.sleep(self._watched.poll_interval_seconds)

    async def _observe(self, fact: RoomFact) -> None:
        durable = await self._record(fact)
        if durable is not None:
            await durable
        else:
            # The webhook may be a duplicate: the changes of the first one may not be durable yet.
            await self._manager.durable()

    async def _restore_again(self) -> None:
        """Restore the sessions of the book, because the state differs from it. Raises as `poll`."""
        async with self._order:
            await self._manager.note_open_events()
            try:
                await self._read_book(self.restore)
            except BookFailedError as error:
                raise _busy(error) from error
            self._differs = False

    async def _record(self, fact: RoomFact) -> Durable | None:
        async with self._order:
            return self._submit(fact, await self._changes_of(fact))

    async def _changes_of(self, fact: RoomFact) -> list[Change]:
        """Return the changes of an observation. Raises ServerBusyError while the database cannot be reached."""
        moment = self._moment()
        try:
            return await self._read_book(lambda: self._machine.observe(fact, moment))
        except BookFailedError as error:
            # The observation has changed a part of the state, and nothing in the book.
            self._is_read, self._differs = False, True
            raise _busy(error) from error

    async def _read_book(self, read: Callable[[], _Result]) -> _Result:
        """Return what a function returns that reads the book."""
        return await asyncio.to_thread(read) if self._is_distant else read()

    def _submit(self, fact: RoomFact, changes: list[Change]) -> Durable | None:
        if not changes:
            return None
        try:
            return self._manager.room_records.record(changes)
        except ChangeRefusedError:
            # A defect, or a stage that was deleted concurrently. The next poll restores the sessions of the book and
            # then reads the rooms; webhooks are refused until it is done.
            _log.exception("the book refused the changes of an observation of LiveKit", fact=type(fact).__name__)
            self._is_read, self._differs = False, True
            raise

    def _moment(self) -> Moment:
        now = self._manager.now()
        return Moment(wall_ms=now.wall_ms, monotonic_ms=now.monotonic_ms, floor_ms=self._manager.submitted_time_ms)

    def _monotonic_ms(self) -> int:
        return self._manager.now().monotonic_ms

    def _limit_reached(self, limit: str) -> None:
        if limit not in self._reached_limits:
            self._reached_limits.add(limit)
            _log.warning("a limit is reached: further rooms or participants of LiveKit are not recorded", limit=limit)


def _busy(error: BookFailedError) -> ServerBusyError:
    """Return the error of an observation that can be made later. Raises BookDamagedError if it cannot."""
    if isinstance(error, BookDamagedError):
        raise error
    return ServerBusyError("the database cannot be reached: try again")


def _log_end_of_polls(task: asyncio.Task[None]) -> None:
    """Log the failure of the polls. Only a failure of the book ends the server."""
    if not task.cancelled():
        _log.critical(
            "polling of LiveKit has failed: rooms are not read until the next start", exc_info=task.exception()
        )
