"""The participants of rooms: what joining, publishing and leaving write into the book."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from stagebook.livekit_history.room_draft import RoomDraft
from stagebook.livekit_history.room_facts import ObservedPerson
from stagebook.livekit_history.room_ids import participant_id_of
from stagebook.livekit_history.room_life import MAX_KEPT_TRACKS, PastRooms, PresentPerson, RecentKeys, RoomLife
from stagebook.stage.events import Cause, ErrorCode, EventName
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord

MAX_USER_ID_LENGTH: Final = 128
"""Characters (shape UserId)."""


class RoomPeople:
    """The moves of single participants. `count` of them are present in all rooms, and `publishers` of these publish."""

    def __init__(self, past: PastRooms, *, max_participants: int, on_full: Callable[[str], None]) -> None:
        self.count = 0
        self.publishers = 0
        self._past = past
        self._gone = RecentKeys()
        self._max_participants = max_participants
        self._on_full = on_full

    def restore(self, life: RoomLife) -> None:
        """Count the participants of a room that an earlier run left open."""
        life.publishers = sum(bool(person.track_sids) for person in life.people.values())
        self.count += len(life.people)
        self.publishers += life.publishers

    def clear(self) -> None:
        """Count from the beginning."""
        self.count = self.publishers = 0

    def is_gone(self, life: RoomLife, participant_id: str) -> bool:
        """Return whether a participant was in this life of the room and is not there any more."""
        if participant_id in life.people:
            return False
        key = (life.session_id, participant_id)
        return key in self._gone or self._past.has_participant(life.stage_arn, life.session_id, participant_id)

    def has_room(self) -> bool:
        """Return whether another participant may be present."""
        if self.count < self._max_participants:
            return True
        self._on_full("participants")
        return False

    def join(self, life: RoomLife, told: ObservedPerson, draft: RoomDraft, *, detail: str, true_ms: int) -> None:
        """Record JOINED."""
        record = draft.append(life, _record(told), EventName.JOINED, cause=Cause.CLIENT, detail=detail, true_ms=true_ms)
        life.people[record.participant_id] = PresentPerson(
            record=record, is_ingress=told.is_ingress, is_known=told.attributes is not None
        )
        self.count += 1

    def refuse(self, life: RoomLife, told: ObservedPerson, draft: RoomDraft, *, detail: str, true_ms: int) -> None:
        """Record JOIN_ERROR of a participant whose connection was aborted."""
        draft.append(
            life,
            _record(told),
            EventName.JOIN_ERROR,
            cause=Cause.NEVER_CONNECTED,
            detail=detail,
            true_ms=true_ms,
            error_code=ErrorCode.INTERNAL_SERVER_EXCEPTION,
        )
        self._gone.add((life.session_id, participant_id_of(told.sid)))

    def update(self, life: RoomLife, told: ObservedPerson, draft: RoomDraft) -> PresentPerson:
        """Write the row of a participant whose attributes have changed, or were not told before; return it."""
        person = life.people[participant_id_of(told.sid)]
        if told.attributes is None or (told.attributes == person.record.attributes and person.is_known):
            return person
        record = replace(person.record, attributes=dict(told.attributes), user_id=_user_id(told))
        if record != person.record:
            draft.put(life, record)
        person = replace(person, record=record, is_known=True, is_ingress=told.is_ingress)
        life.people[record.participant_id] = person
        return person

    def end_tracks(self, life: RoomLife, person: PresentPerson, track_sids: Sequence[str]) -> PresentPerson:
        """Note tracks that have ended, so that a late webhook does not start them again; return the participant."""
        ended = (*person.ended_sids, *(sid for sid in track_sids if sid not in person.ended_sids))
        person = replace(person, ended_sids=ended[-MAX_KEPT_TRACKS:])
        life.people[person.record.participant_id] = person
        return person

    def publish(
        self,
        life: RoomLife,
        person: PresentPerson,
        track_sids: frozenset[str],
        draft: RoomDraft,
        *,
        cause: Cause,
        detail: str = "",
        true_ms: int = 0,
    ) -> None:
        """Replace the published tracks. The first one records PUBLISH_STARTED, the end of the last PUBLISH_STOPPED."""
        track_sids = frozenset(sorted(track_sids)[:MAX_KEPT_TRACKS])
        record = person.record
        if bool(track_sids) is not bool(person.track_sids):
            name = EventName.PUBLISH_STARTED if track_sids else EventName.PUBLISH_STOPPED
            change = 1 if track_sids else -1
            life.publishers, self.publishers = life.publishers + change, self.publishers + change
            protocol = ParticipantProtocol.UNKNOWN if person.is_ingress else ParticipantProtocol.WHIP
            record = draft.append(life, record, name, cause=cause, detail=detail, true_ms=true_ms, protocol=protocol)
        life.people[record.participant_id] = replace(person, record=record, track_sids=track_sids)

    def leave(
        self,
        life: RoomLife,
        participant_id: str,
        draft: RoomDraft,
        *,
        cause: Cause,
        detail: str,
        true_ms: int = 0,
    ) -> None:
        """Record LEFT, and PUBLISH_STOPPED before it."""
        self.publish(life, life.people[participant_id], frozenset(), draft, cause=cause, detail=detail, true_ms=true_ms)
        person = life.people.pop(participant_id)
        draft.append(life, person.record, EventName.LEFT, cause=cause, detail=detail, true_ms=true_ms)
        self._gone.add((life.session_id, participant_id))
        self.count -= 1


def _record(told: ObservedPerson) -> ParticipantRecord:
    return ParticipantRecord(
        participant_id=participant_id_of(told.sid), user_id=_user_id(told), attributes=dict(told.attributes or {})
    )


def _user_id(told: ObservedPerson) -> str:
    return told.identity[:MAX_USER_ID_LENGTH]
