"""The open room sessions of a LiveKit server: finds the session of an observed room, opens it and ends it."""

from collections.abc import Callable
from typing import Final

from stagebook.livekit_history.room_draft import RoomDraft
from stagebook.livekit_history.room_facts import ObservedRoom
from stagebook.livekit_history.room_ids import session_id_of_room
from stagebook.livekit_history.room_participants import RoomParticipants
from stagebook.livekit_history.room_session import RecentKeys, RoomReader, RoomSession, is_settled
from stagebook.stage.events import Cause

MAX_PARTS: Final = 8
"""Stage sessions of one room session."""


class RoomRegistry:
    """The open sessions of all rooms: `sessions`, by the ARN of their stage."""

    def __init__(
        self, reader: RoomReader, participants: RoomParticipants, *, max_rooms: int, on_limit: Callable[[str], None]
    ) -> None:
        """`on_limit` is called with `rooms` when a session is not opened because there are too many."""
        self.sessions: dict[str, RoomSession] = {}
        self._reader = reader
        self._participants = participants
        self._ended = RecentKeys()
        self._max_rooms = max_rooms
        self._on_limit = on_limit

    def of_webhook(self, room: ObservedRoom, draft: RoomDraft) -> RoomSession | None:
        """Return the session of a webhook's room, None if it has ended."""
        session = self.of_room(room, draft)
        if session is not None:
            session.last_webhook_ms = draft.moment.monotonic_ms
        return session

    def of_room(self, room: ObservedRoom, draft: RoomDraft, *, polled_ms: int | None = None) -> RoomSession | None:
        """Return the session of a room, open or new; None if it has ended. It ends the session of an earlier room.

        `polled_ms` is the time at which a poll began, None for a webhook.
        """
        stage_arn, _ = self._reader.stage_of(room.name)
        current = self.sessions.get(stage_arn)
        session_id = self._session_id_of(room, stage_arn, polled_ms=polled_ms)
        if session_id is None:
            return None
        if current is not None and current.session_id == session_id:
            current.name, current.room_sid = room.name, room.sid
            current.created_ms = room.created_ms or current.created_ms
            return current
        if current is not None:
            if room.created_ms == 0 or room.created_ms < current.created_ms:
                return None
            self.end(current, draft, cause=Cause.PEER_LOST, detail="the room had ended: another one has its name")
        return RoomSession(
            stage_arn=stage_arn,
            session_id=session_id,
            start_ms=0,
            name=room.name,
            room_sid=room.sid,
            created_ms=room.created_ms,
        )

    def _session_id_of(self, room: ObservedRoom, stage_arn: str, *, polled_ms: int | None) -> str | None:
        """Return the id of the stage session of a room, open or new; None if it has ended.

        Only a poll begins another stage session of a room, and only if the poll is newer than the end of the last one.
        """
        current = self.sessions.get(stage_arn)
        for part in range(1, MAX_PARTS + 1):
            session_id = session_id_of_room(room.sid, part=part)
            if current is not None and current.session_id == session_id:
                return session_id
            key = (stage_arn, session_id)
            if key not in self._ended and not self._reader.has_session(stage_arn, session_id):
                return session_id if part == 1 or polled_ms is not None else None
            if polled_ms is None and (current is None or current.room_sid not in {"", room.sid}):
                return None
            if polled_ms is not None and not is_settled(self._ended.time_of(key), polled_ms):
                return None
        return None

    def open(self, session: RoomSession, draft: RoomDraft, *, true_ms: int) -> bool:
        """Open a session unless it is open; return False if there are too many."""
        if session.stage_arn in self.sessions:
            return True
        if len(self.sessions) >= self._max_rooms:
            self._on_limit("rooms")
            return False
        _, stage = self._reader.stage_of(session.name)
        session.start_ms = draft.time(true_ms)
        draft.open_session(session, stage)
        self.sessions[session.stage_arn] = session
        return True

    def end(self, session: RoomSession, draft: RoomDraft, *, cause: Cause, detail: str, true_ms: int = 0) -> None:
        """End a session, after LEFT of its participants."""
        for participant_id in tuple(session.participants):
            self._participants.leave(session, participant_id, draft, cause=cause, detail=detail, true_ms=true_ms)
        draft.end_session(session, true_ms=true_ms)
        del self.sessions[session.stage_arn]
        self.add_ended(session, draft)

    def add_ended(self, session: RoomSession, draft: RoomDraft) -> None:
        """Store that a session has ended, so that a late webhook does not open it again."""
        self._ended.add((session.stage_arn, session.session_id), draft.moment.monotonic_ms)
