"""The changes of the book for one observation, with their times.

The times of events in the book never decrease. An event has LiveKit's time, raised to the time of the newest event of
the book, and lowered to the present. If the difference is a second or more, the detail has LiveKit's time.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutStage
from stagebook.livekit_history.room_session import RoomSession
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.participant.record_projection import record_after
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, Stage

_DIFFERENCE_MS: Final = 1_000


class Moment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The current wall and monotonic time, and `floor_ms`, the time of the newest event of the book; milliseconds."""

    wall_ms: int
    monotonic_ms: int
    floor_ms: int


class RoomDraft:
    """Collects the changes of one observation."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.changes: list[Change] = []
        self._floor_ms = moment.floor_ms

    def time(self, true_ms: int) -> int:
        """Return the time under which what happened at `true_ms` is recorded; 0 stands for the present."""
        wanted_ms = self.moment.wall_ms if true_ms <= 0 else min(true_ms, self.moment.wall_ms)
        self._floor_ms = max(self._floor_ms, wanted_ms)
        return self._floor_ms

    def open_session(self, session: RoomSession, stage: Stage | None) -> None:
        """Open the session of a room, whose start is `session.start_ms`; create `stage` before, unless it is None."""
        if stage is not None:
            self.changes.append(PutStage(stage=msgspec.structs.replace(stage, created_ms=session.start_ms)))
        opened = OpenSession(stage_arn=session.stage_arn, session_id=session.session_id, start_ms=session.start_ms)
        self.changes.append(opened)

    def end_session(self, session: RoomSession, *, true_ms: int) -> None:
        """End the session of a room."""
        end_ms = self.time(true_ms)
        self.changes.append(EndSession(stage_arn=session.stage_arn, session_id=session.session_id, end_ms=end_ms))

    def put(self, session: RoomSession, record: ParticipantRecord) -> None:
        """Write the row of a participant without an event."""
        where = {"stage_arn": session.stage_arn, "session_id": session.session_id}
        self.changes.append(PutParticipant(participant=record, **where))

    def append(
        self,
        session: RoomSession,
        record: ParticipantRecord,
        name: EventName,
        *,
        cause: Cause,
        true_ms: int = 0,
        detail: str = "",
        protocol: ParticipantProtocol = ParticipantProtocol.UNKNOWN,
        error_code: ErrorCode | None = None,
    ) -> ParticipantRecord:
        """Append an event of a participant, write its row, and return the row."""
        at_ms = self.time(true_ms)
        text = _detail(detail, true_ms=true_ms, at_ms=at_ms)
        event = Event(name=name, cause=cause, detail=text, error_code=error_code)
        after = record_after(record, (event,), at_ms=at_ms, protocol=protocol)
        if after is not record or name in (EventName.JOINED, EventName.JOIN_ERROR):
            self.put(session, after)
        self.changes.append(
            AppendEvent(
                stage_arn=session.stage_arn,
                session_id=session.session_id,
                participant_id=record.participant_id,
                event=event,
                at_ms=at_ms,
            )
        )
        return after


def _detail(text: str, *, true_ms: int, at_ms: int) -> str | None:
    if true_ms > 0 and abs(true_ms - at_ms) >= _DIFFERENCE_MS:
        shown = datetime.fromtimestamp(true_ms / 1_000, UTC).isoformat(timespec="milliseconds")
        text = f"{text}; LiveKit's time: {shown}" if text else f"LiveKit's time: {shown}"
    return text or None
