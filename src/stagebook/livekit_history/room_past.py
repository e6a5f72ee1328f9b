"""What the book has of the rooms: their stages, their ended sessions, and the open ones of the run before."""

from collections.abc import Iterator

from stagebook.book.store import BookReader
from stagebook.livekit_history.room_ids import stage_arn_of_room
from stagebook.livekit_history.room_life import PresentPerson, RoomLife
from stagebook.manager.resources.stage_service import StageService
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantProtocol, Stage, StageSession
from stagebook.stage.room_stages import is_room_stage

ROOM_NAME_TAG = "livekit:room"
UNKNOWN_TRACK = ""
"""Stands for the tracks of a publication that goes on over a restart, until a poll tells them."""
_PAGE = 1_000
_MAX_NAME_LENGTH = 128
_MAX_TAG_LENGTH = 256


class BookOfRooms:
    """Implements `PastRooms` over the book. The stages belong to one account."""

    def __init__(self, book: BookReader, stages: StageService, *, region: str, account_id: str) -> None:
        self._book = book
        self._stages = stages
        self._region = region
        self._account_id = account_id

    def stage_of(self, room_name: str) -> tuple[str, Stage | None]:
        """Return the ARN of the stage that shows the rooms of this name, and the stage to create if there is none.

        After its stage was deleted, a room has another one.
        """
        generation = 0
        while True:
            arn = stage_arn_of_room(room_name, region=self._region, account_id=self._account_id, generation=generation)
            # In this order: the writer may make a stage durable between two reads, and what is durable is found.
            if not self._book.has_had_stage(arn):
                return arn, self._new_stage(arn, room_name)
            try:
                self._stages.find(arn)
            except ResourceNotFoundError:
                generation += 1
            else:
                return arn, None

    def has_session(self, stage_arn: str, session_id: str) -> bool:
        """Return whether the book has this session."""
        return self._book.get_session(stage_arn, session_id) is not None

    def has_participant(self, stage_arn: str, session_id: str, participant_id: str) -> bool:
        """Return whether the book has this participant."""
        return self._book.get_participant(stage_arn, session_id, participant_id) is not None

    def open_lives(self) -> Iterator[RoomLife]:
        """Yield the sessions of rooms that an earlier run left open, with the participants that were present."""
        for session in self._book.list_open_sessions():
            if is_room_stage(session.stage_arn):
                yield self._open_life(session)

    def _open_life(self, session: StageSession) -> RoomLife:
        life = RoomLife(
            stage_arn=session.stage_arn, session_id=session.session_id, start_ms=session.start_ms, people={}
        )
        position = None
        while True:
            page = self._book.list_open_participants(session.stage_arn, session.session_id, after=position, limit=_PAGE)
            for participant in page.items:
                names = {each.event.name for each in participant.events}
                tracks = {UNKNOWN_TRACK} if EventName.PUBLISH_STARTED in names else set()
                life.people[participant.record.participant_id] = PresentPerson(
                    record=participant.record,
                    track_sids=frozenset(tracks),
                    is_ingress=participant.record.protocol is ParticipantProtocol.UNKNOWN,
                )
            position = page.next_position
            if position is None:
                return life

    def _new_stage(self, arn: str, room_name: str) -> Stage:
        name = "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "-" for each in room_name)
        tags = {ROOM_NAME_TAG: room_name.replace("\0", "")[:_MAX_TAG_LENGTH]}
        return Stage(arn=arn, account_id=self._account_id, name=name[:_MAX_NAME_LENGTH], created_ms=0, tags=tags)
