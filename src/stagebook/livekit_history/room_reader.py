"""Reads rooms in the book: their stages, sessions and participants, and the sessions that an earlier run left open."""

from collections.abc import Iterator

from stagebook.book.store import BookReader
from stagebook.livekit_history.room_ids import stage_arn_of_room
from stagebook.livekit_history.room_session import JoinedParticipant, RoomSession
from stagebook.stage.arns import parse_arn
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantProtocol, Stage, StageSession
from stagebook.stage.room_stages import is_room_stage

ROOM_NAME_TAG = "livekit:room"
UNKNOWN_TRACK = ""
"""The track sid of a publication that continues over a restart, until a poll has the sids of its tracks."""
_PAGE = 1_000
_MAX_NAME_LENGTH = 128
_MAX_TAG_LENGTH = 256


class BookRoomReader:
    """Implements `RoomReader` over the book. The stages belong to one account."""

    def __init__(self, book: BookReader, *, region: str, account_id: str) -> None:
        self._book = book
        self._region = region
        self._account_id = account_id

    def stage_of(self, room_name: str) -> tuple[str, Stage | None]:
        """Return the ARN of the stage that shows the rooms of this name, and the stage to create if there is none.

        A room whose stage was deleted gets a new one.
        """
        generation = 0
        while True:
            arn = stage_arn_of_room(room_name, region=self._region, account_id=self._account_id, generation=generation)
            # In this order: if the writer commits the stage between the two reads, the second one finds it.
            if not self._book.has_had_stage(arn):
                return arn, self._new_stage(arn, room_name)
            if self._book.get_stage(arn) is not None:
                return arn, None
            generation += 1

    def has_session(self, stage_arn: str, session_id: str) -> bool:
        """Return whether the book has this session."""
        return self._book.get_session(stage_arn, session_id) is not None

    def has_participant(self, stage_arn: str, session_id: str, participant_id: str) -> bool:
        """Return whether the book has this participant."""
        return self._book.get_participant(stage_arn, session_id, participant_id) is not None

    def open_sessions(self) -> Iterator[RoomSession]:
        """Yield the sessions of rooms that an earlier run left open, with the participants that had not left."""
        for stored in self._book.list_open_sessions():
            # A database can have rooms of other accounts, which other servers watch.
            if is_room_stage(stored.stage_arn) and parse_arn(stored.stage_arn).account_id == self._account_id:
                yield self._open_session(stored)

    def _open_session(self, stored: StageSession) -> RoomSession:
        session = RoomSession(
            stage_arn=stored.stage_arn, session_id=stored.session_id, start_ms=stored.start_ms, participants={}
        )
        position = None
        while True:
            page = self._book.list_open_participants(stored.stage_arn, stored.session_id, after=position, limit=_PAGE)
            for participant in page.items:
                names = {each.event.name for each in participant.events}
                tracks = {UNKNOWN_TRACK} if EventName.PUBLISH_STARTED in names else set()
                session.participants[participant.record.participant_id] = JoinedParticipant(
                    record=participant.record,
                    track_sids=frozenset(tracks),
                    is_ingress=participant.record.protocol is ParticipantProtocol.UNKNOWN,
                )
            position = page.next_position
            if position is None:
                return session

    def _new_stage(self, arn: str, room_name: str) -> Stage:
        name = "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "-" for each in room_name)
        tags = {ROOM_NAME_TAG: room_name.replace("\0", "")[:_MAX_TAG_LENGTH]}
        return Stage(arn=arn, account_id=self._account_id, name=name[:_MAX_NAME_LENGTH], created_ms=0, tags=tags)
