"""A book in memory for tests of the room machine: it holds what was recorded, and refuses what breaks a rule."""

from collections.abc import Sequence

from stagebook.book.changes import (
    AppendEvent,
    Change,
    EndSession,
    OpenSession,
    PutParticipant,
    PutStage,
)
from stagebook.livekit_history.room_draft import Moment
from stagebook.livekit_history.room_facts import RoomFact
from stagebook.livekit_history.room_ids import stage_arn_of_room
from stagebook.livekit_history.room_machine import RoomMachine
from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, Stage

NOW_MS = 1_700_000_000_000


class RecordedRooms:
    """The book, a clock, and the machine that writes the book. It implements `RoomReader`."""

    def __init__(self, *, max_rooms: int = 100, max_participants: int = 100) -> None:
        self.now_ms = NOW_MS
        self.last_ms = 0
        self.stages: dict[str, Stage] = {}
        self.open: dict[str, str] = {}
        """The open session of each stage."""
        self.spans: dict[tuple[str, str], tuple[int, int | None]] = {}
        """The start and the end of each session."""
        self.records: dict[tuple[str, str], ParticipantRecord] = {}
        self.events: dict[tuple[str, str], list[tuple[int, Event]]] = {}
        self.limits: list[str] = []
        self.machine = RoomMachine(
            self, max_rooms=max_rooms, max_participants=max_participants, on_limit=self.limits.append
        )

    def stage_of(self, room_name: str) -> tuple[str, Stage | None]:
        arn = stage_arn_of_room(room_name, region="us-west-2", account_id="123456789012", generation=0)
        new = Stage(arn=arn, account_id="123456789012", name=room_name, created_ms=0)
        return arn, None if arn in self.stages else new

    def has_session(self, stage_arn: str, session_id: str) -> bool:
        return (stage_arn, session_id) in self.spans

    def has_participant(self, stage_arn: str, session_id: str, participant_id: str) -> bool:  # noqa: ARG002 - a port
        return (session_id, participant_id) in self.records

    @property
    def moment(self) -> Moment:
        return Moment(wall_ms=self.now_ms, monotonic_ms=self.now_ms, floor_ms=self.last_ms)

    def observe(self, fact: RoomFact) -> list[Change]:
        """Let the machine take a fact, and record what it leads to."""
        changes = self.machine.observe(fact, self.moment)
        self.record(changes)
        return changes

    def record(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, PutStage):
                self.stages[change.stage.arn] = change.stage
            elif isinstance(change, OpenSession):
                assert change.stage_arn in self.stages
                assert change.stage_arn not in self.open, "the stage has an open session"
                assert (change.stage_arn, change.session_id) not in self.spans, "the session is opened twice"
                self.open[change.stage_arn] = change.session_id
                self.spans[change.stage_arn, change.session_id] = (change.start_ms, None)
            elif isinstance(change, EndSession):
                assert self.open.pop(change.stage_arn) == change.session_id
                start_ms, _ = self.spans[change.stage_arn, change.session_id]
                assert change.end_ms >= max(start_ms, self.last_ms)
                self.spans[change.stage_arn, change.session_id] = (start_ms, change.end_ms)
                self.last_ms = change.end_ms
            elif isinstance(change, PutParticipant):
                assert self.open[change.stage_arn] == change.session_id
                self.records[change.session_id, change.participant.participant_id] = change.participant
            else:
                assert isinstance(change, AppendEvent)
                assert self.open[change.stage_arn] == change.session_id
                assert (change.session_id, change.participant_id) in self.records
                assert self.last_ms <= change.at_ms <= self.now_ms, "an event has another time than its sequence"
                self.last_ms = change.at_ms
                history = self.events.setdefault((change.session_id, change.participant_id), [])
                history.append((change.at_ms, change.event))

    def names(self, session_id: str, participant_id: str) -> list[str]:
        """The names of a participant's events, oldest first."""
        return [event.name.value for _, event in self.events.get((session_id, participant_id), ())]
