"""The participants of rooms: the changes of the book when they join, publish and leave."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from stagebook.livekit_history.room_draft import RoomDraft
from stagebook.livekit_history.room_facts import ObservedParticipant
from stagebook.livekit_history.room_ids import participant_id_of
from stagebook.livekit_history.room_session import (
    MAX_KEPT_TRACKS,
    JoinedParticipant,
    RecentKeys,
    RoomReader,
    RoomSession,
)
from stagebook.stage.events import Cause, ErrorCode, EventName
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord

MAX_USER_ID_LENGTH: Final = 128
"""Characters (shape UserId)."""


class RoomParticipants:
    """Records single participants. All rooms have `count` participants, of which `publishers` publish."""

    def __init__(self, reader: RoomReader, *, max_participants: int, on_limit: Callable[[str], None]) -> None:
        self.count = 0
        self.publishers = 0
        self._reader = reader
        self._left = RecentKeys()
        self._max_participants = max_participants
        self._on_limit = on_limit

    def restore(self, session: RoomSession) -> None:
        """Count the participants of a session that an earlier run left open."""
        session.publishers = sum(bool(participant.track_sids) for participant in session.participants.values())
        self.count += len(session.participants)
        self.publishers += session.publishers

    def clear(self) -> None:
        """Reset the counts."""
        self.count = self.publishers = 0

    def has_left(self, session: RoomSession, participant_id: str) -> bool:
        """Return whether a participant of this room session has left."""
        if participant_id in session.participants:
            return False
        key = (session.session_id, participant_id)
        return key in self._left or self._reader.has_participant(session.stage_arn, session.session_id, participant_id)

    def has_capacity(self) -> bool:
        """Return whether another participant may join."""
        if self.count < self._max_participants:
            return True
        self._on_limit("participants")
        return False

    def join(
        self, session: RoomSession, observed: ObservedParticipant, draft: RoomDraft, *, detail: str, true_ms: int
    ) -> None:
        """Record JOINED."""
        record = draft.append(
            session, _record(observed), EventName.JOINED, cause=Cause.CLIENT, detail=detail, true_ms=true_ms
        )
        session.participants[record.participant_id] = JoinedParticipant(
            record=record, is_ingress=observed.is_ingress, is_known=observed.attributes is not None
        )
        self.count += 1

    def refuse(
        self, session: RoomSession, observed: ObservedParticipant, draft: RoomDraft, *, detail: str, true_ms: int
    ) -> None:
        """Record JOIN_ERROR of a participant whose connection was aborted."""
        draft.append(
            session,
            _record(observed),
            EventName.JOIN_ERROR,
            cause=Cause.NEVER_CONNECTED,
            detail=detail,
            true_ms=true_ms,
            error_code=ErrorCode.INTERNAL_SERVER_EXCEPTION,
        )
        self._left.add((session.session_id, participant_id_of(observed.sid)))

    def update(self, session: RoomSession, observed: ObservedParticipant, draft: RoomDraft) -> JoinedParticipant:
        """Write the row of a participant whose attributes have changed, or were unknown; return the participant."""
        participant = session.participants[participant_id_of(observed.sid)]
        if observed.attributes is None or (
            observed.attributes == participant.record.attributes and participant.is_known
        ):
            return participant
        record = replace(participant.record, attributes=dict(observed.attributes), user_id=_user_id(observed))
        if record != participant.record:
            draft.put(session, record)
        participant = replace(participant, record=record, is_known=True, is_ingress=observed.is_ingress)
        session.participants[record.participant_id] = participant
        return participant

    def end_tracks(
        self, session: RoomSession, participant: JoinedParticipant, track_sids: Sequence[str]
    ) -> JoinedParticipant:
        """Store tracks that have ended, so that a late webhook does not publish them again; return the participant."""
        ended = (*participant.ended_sids, *(sid for sid in track_sids if sid not in participant.ended_sids))
        participant = replace(participant, ended_sids=ended[-MAX_KEPT_TRACKS:])
        session.participants[participant.record.participant_id] = participant
        return participant

    def publish(
        self,
        session: RoomSession,
        participant: JoinedParticipant,
        track_sids: frozenset[str],
        draft: RoomDraft,
        *,
        cause: Cause,
        detail: str = "",
        true_ms: int = 0,
    ) -> None:
        """Replace the published tracks. The first track is PUBLISH_STARTED, the end of the last one PUBLISH_STOPPED."""
        track_sids = frozenset(sorted(track_sids)[:MAX_KEPT_TRACKS])
        record = participant.record
        if bool(track_sids) is not bool(participant.track_sids):
            name = EventName.PUBLISH_STARTED if track_sids else EventName.PUBLISH_STOPPED
            change = 1 if track_sids else -1
            session.publishers, self.publishers = session.publishers + change, self.publishers + change
            protocol = ParticipantProtocol.UNKNOWN if participant.is_ingress else ParticipantProtocol.WHIP
            record = draft.append(session, record, name, cause=cause, detail=detail, true_ms=true_ms, protocol=protocol)
        session.participants[record.participant_id] = replace(participant, record=record, track_sids=track_sids)

    def leave(
        self,
        session: RoomSession,
        participant_id: str,
        draft: RoomDraft,
        *,
        cause: Cause,
        detail: str,
        true_ms: int = 0,
    ) -> None:
        """Record LEFT, and PUBLISH_STOPPED before it."""
        self.publish(
            session,
            session.participants[participant_id],
            frozenset(),
            draft,
            cause=cause,
            detail=detail,
            true_ms=true_ms,
        )
        participant = session.participants.pop(participant_id)
        draft.append(session, participant.record, EventName.LEFT, cause=cause, detail=detail, true_ms=true_ms)
        self._left.add((session.session_id, participant_id))
        self.count -= 1


def _record(observed: ObservedParticipant) -> ParticipantRecord:
    return ParticipantRecord(
        participant_id=participant_id_of(observed.sid),
        user_id=_user_id(observed),
        attributes=dict(observed.attributes or {}),
    )


def _user_id(observed: ObservedParticipant) -> str:
    return observed.identity[:MAX_USER_ID_LENGTH]
