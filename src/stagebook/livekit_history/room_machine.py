"""The rooms of a LiveKit server as a state machine: its input is facts, its output is changes of the book.

It has no I/O and no clock. Webhooks can be duplicated, out of order, late and lost. By these rules the book has the
same events nevertheless:

* A participant sid joins and leaves once, a room session opens and ends once. Later facts about it are ignored.
* A participant in any fact has joined, also if its participant_joined was lost. A track of a participant that has left
  is ignored, and so is a track that has ended.
* Of two room sessions with the same room name, the one that was created later counts. It ends the earlier one.
* A poll decides about what no webhook has changed within `SETTLED_MS` before the poll began: a participant that is
  missing has left, a room that is missing has ended, and the tracks in the response are the published ones. If a room
  in the response has participants, and its stage session has ended, another stage session begins: LiveKit had lost its
  lists, or another server has ended the session.

After a poll each participant that was ever observed has one JOINED, one LEFT if it has left, and between them
PUBLISH_STARTED and PUBLISH_STOPPED in turn.
"""

from collections.abc import Callable
from functools import singledispatchmethod
from typing import Final

from msgspec.structs import replace

from stagebook.book.changes import Change
from stagebook.livekit_history.room_draft import Moment, RoomDraft
from stagebook.livekit_history.room_facts import (
    ObservedParticipant,
    ParticipantJoined,
    ParticipantLeft,
    PolledParticipant,
    RoomFact,
    RoomFinished,
    RoomPolled,
    RoomsListed,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from stagebook.livekit_history.room_ids import participant_id_of, session_id_of_room
from stagebook.livekit_history.room_participants import RoomParticipants
from stagebook.livekit_history.room_registry import MAX_PARTS, RoomRegistry
from stagebook.livekit_history.room_session import JoinedParticipant, RoomReader, RoomSession, is_settled
from stagebook.stage.events import Cause

FOUND_BY_POLL: Final = "found by a poll"


class RoomMachine:
    """All rooms of one LiveKit server. `sessions` are the open ones by the ARN of their stage."""

    def __init__(
        self, reader: RoomReader, *, max_rooms: int, max_participants: int, on_limit: Callable[[str], None]
    ) -> None:
        """`on_limit` is called with the name of a limit when something is not recorded because of it."""
        self.participants = RoomParticipants(reader, max_participants=max_participants, on_limit=on_limit)
        self._rooms = RoomRegistry(reader, self.participants, max_rooms=max_rooms, on_limit=on_limit)
        self.sessions = self._rooms.sessions

    def restore(self, session: RoomSession) -> None:
        """Add a session that an earlier run left open."""
        self.sessions[session.stage_arn] = session
        self.participants.restore(session)

    def clear(self) -> None:
        """Remove all open sessions, before they are restored from the book."""
        self.sessions.clear()
        self.participants.clear()

    def observe(self, fact: RoomFact, moment: Moment) -> list[Change]:
        """Apply a fact; return its changes of the book, one transaction. It can be empty."""
        draft = RoomDraft(moment)
        self._observe(fact, draft)
        return draft.changes

    @singledispatchmethod
    def _observe(self, fact: RoomFact, draft: RoomDraft) -> None:  # noqa: ARG002 - the signature of the others
        raise TypeError(type(fact))

    @_observe.register
    def _participant_joined(self, fact: ParticipantJoined, draft: RoomDraft) -> None:
        now_ms = draft.moment.monotonic_ms
        is_polled = fact.at_ms is None
        session = (
            self._rooms.of_room(fact.room, draft, polled_ms=now_ms)
            if is_polled
            else self._rooms.of_webhook(fact.room, draft)
        )
        if session is not None:
            detail = FOUND_BY_POLL if fact.at_ms is None else ""
            self._require_participant(session, fact.participant, draft, detail=detail, at_ms=fact.at_ms)

    @_observe.register
    def _participant_left(self, fact: ParticipantLeft, draft: RoomDraft) -> None:
        session = self._rooms.of_webhook(fact.room, draft)
        if session is None or self.participants.has_left(session, participant_id_of(fact.participant.sid)):
            return
        participant_id = participant_id_of(fact.participant.sid)
        if participant_id not in session.participants and not fact.was_connected:
            if self._rooms.open(session, draft, true_ms=fact.at_ms):
                self.participants.refuse(session, fact.participant, draft, detail=fact.reason, true_ms=fact.at_ms)
            return
        if self._require_participant(
            session, fact.participant, draft, detail="participant_joined was lost", at_ms=fact.at_ms
        ):
            self.participants.leave(
                session, participant_id, draft, cause=fact.cause, detail=fact.reason, true_ms=fact.at_ms
            )

    @_observe.register
    def _track_published(self, fact: TrackPublished, draft: RoomDraft) -> None:
        session = self._rooms.of_webhook(fact.room, draft)
        if session is None:
            return
        participant = self._require_participant(
            session, fact.participant, draft, detail="seen by a track", at_ms=fact.at_ms
        )
        if participant is not None and fact.track_sid not in participant.ended_sids:
            tracks = participant.track_sids | {fact.track_sid}
            self.participants.publish(session, participant, tracks, draft, cause=Cause.CLIENT, true_ms=fact.at_ms)

    @_observe.register
    def _track_unpublished(self, fact: TrackUnpublished, draft: RoomDraft) -> None:
        session = self._rooms.of_webhook(fact.room, draft)
        if session is None:
            return
        participant = self._require_participant(
            session, fact.participant, draft, detail="seen by a track", at_ms=fact.at_ms
        )
        if participant is not None:
            tracks = participant.track_sids - {fact.track_sid}
            participant = self.participants.end_tracks(session, participant, (fact.track_sid,))
            self.participants.publish(session, participant, tracks, draft, cause=Cause.CLIENT, true_ms=fact.at_ms)

    @_observe.register
    def _room_started(self, fact: RoomStarted, draft: RoomDraft) -> None:
        # A room without participants is not recorded, but it ends an earlier session of the same room name.
        self._rooms.of_webhook(fact.room, draft)

    @_observe.register
    def _room_finished(self, fact: RoomFinished, draft: RoomDraft) -> None:
        session = self._rooms.of_room(fact.room, draft)
        if session is None:
            return
        if session.stage_arn in self.sessions:
            self._rooms.end(session, draft, cause=fact.cause, detail=fact.reason, true_ms=fact.at_ms)
        self._rooms.add_ended(session, draft)

    @_observe.register
    def _polled(self, fact: RoomPolled, draft: RoomDraft) -> None:
        session = self._rooms.of_room(fact.room, draft, polled_ms=fact.began_ms)
        if session is None:
            return
        here = set()
        for polled in sorted(fact.participants, key=lambda each: each.participant.joined_ms):
            participant_id = participant_id_of(polled.participant.sid)
            here.add(participant_id)
            known = session.participants.get(participant_id)
            if known is None and not polled.is_active:
                continue
            if known is not None and _is_as_polled(known, polled):
                continue
            participant = self._require_participant(session, polled.participant, draft, detail=FOUND_BY_POLL)
            if participant is not None and is_settled(participant.last_webhook_ms, fact.began_ms):
                participant = self.participants.end_tracks(
                    session, participant, tuple(participant.track_sids - polled.track_sids)
                )
                tracks = polled.track_sids - set(participant.ended_sids)
                self.participants.publish(session, participant, tracks, draft, cause=Cause.CLIENT, detail=FOUND_BY_POLL)
        for participant_id, participant in tuple(session.participants.items()):
            if participant_id not in here and is_settled(participant.last_webhook_ms, fact.began_ms):
                self.participants.leave(session, participant_id, draft, cause=Cause.PEER_LOST, detail=FOUND_BY_POLL)

    @_observe.register
    def _listed(self, fact: RoomsListed, draft: RoomDraft) -> None:
        sids = {room.sid for room in fact.rooms}
        ids: set[str] = set()
        if any(not session.room_sid for session in self.sessions.values()):
            ids = {session_id_of_room(sid, part=part) for sid in sids for part in range(1, MAX_PARTS + 1)}
        for session in tuple(self.sessions.values()):
            is_listed = session.room_sid in sids if session.room_sid else session.session_id in ids
            if not is_listed and is_settled(session.last_webhook_ms, fact.began_ms):
                self._rooms.end(session, draft, cause=Cause.PEER_LOST, detail=f"{FOUND_BY_POLL}: the room had ended")

    def _require_participant(
        self,
        session: RoomSession,
        observed: ObservedParticipant,
        draft: RoomDraft,
        *,
        detail: str,
        at_ms: int | None = None,
    ) -> JoinedParticipant | None:
        """Return a participant, which joins unless it has; None if it has left, or if there are too many.

        `at_ms` is the time of a webhook; None for a poll.
        """
        participant_id = participant_id_of(observed.sid)
        if participant_id not in session.participants:
            true_ms = observed.joined_ms or at_ms or 0
            if self.participants.has_left(session, participant_id) or not self.participants.has_capacity():
                return None
            if not self._rooms.open(session, draft, true_ms=true_ms):
                return None
            self.participants.join(session, observed, draft, detail=detail, true_ms=true_ms)
        participant = self.participants.update(session, observed, draft)
        if at_ms is not None:
            participant = session.participants[participant_id] = replace(
                participant, last_webhook_ms=draft.moment.monotonic_ms
            )
        return participant


def _is_as_polled(known: JoinedParticipant, polled: PolledParticipant) -> bool:
    """Return whether a poll changes nothing about a participant, as for most."""
    observed = polled.participant.attributes
    return known.is_known and known.track_sids == polled.track_sids and known.record.attributes == observed
