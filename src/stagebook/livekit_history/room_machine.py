"""The rooms of a LiveKit server as a state machine: observed facts in, changes of the book out. No I/O, no clock.

Webhooks come doubled, out of order, late, or not at all. These rules make the same book of them:

* A sid is one life. A participant joins and leaves once, a session opens and ends once. What comes later is old.
* A participant that is seen anywhere has joined, also if its participant_joined was lost. A track of one that has left
  is old, and so is a track that has ended.
* Of two lives of one room name the later one counts. It ends the earlier one.
* A poll has the last word on what no webhook has told within `SETTLED_MS` before it began: who is missing has left, a
  room that is missing has ended, and the tracks that it lists are those that are published. A room with people in it
  whose session has ended goes on in another one: LiveKit had lost its lists, or another server has ended the session.

So after a poll each participant that was ever seen has one JOINED, and one LEFT if it is gone, and PUBLISH_STARTED and
PUBLISH_STOPPED alternate between them.
"""

from collections.abc import Callable
from functools import singledispatchmethod
from typing import Final

from msgspec.structs import replace

from stagebook.book.changes import Change
from stagebook.livekit_history.room_draft import Moment, RoomDraft
from stagebook.livekit_history.room_facts import (
    Arrived,
    Departed,
    ObservedPerson,
    ObservedRoom,
    PolledPerson,
    RoomFact,
    RoomFinished,
    RoomPolled,
    RoomsListed,
    RoomStarted,
    TrackStarted,
    TrackStopped,
)
from stagebook.livekit_history.room_ids import participant_id_of, session_id_of_room
from stagebook.livekit_history.room_life import PastRooms, PresentPerson, RecentKeys, RoomLife
from stagebook.livekit_history.room_people import RoomPeople
from stagebook.stage.events import Cause

SETTLED_MS: Final = 2_000
"""How long before a poll a webhook must have come, so that the poll is newer. LiveKit's lists are some ms behind."""
MAX_PARTS: Final = 8
"""Sessions of one life of a room."""
FOUND_BY_POLL: Final = "found by a poll"


class RoomMachine:
    """All rooms of one LiveKit server. `lives` are the open ones by the ARN of their stage."""

    def __init__(
        self, past: PastRooms, *, max_rooms: int, max_participants: int, on_full: Callable[[str], None]
    ) -> None:
        """`on_full` is called with the name of a limit when something is not recorded because of it."""
        self.lives: dict[str, RoomLife] = {}
        self._past = past
        self._ended = RecentKeys()
        self._max_rooms = max_rooms
        self._on_full = on_full
        self.people = RoomPeople(past, max_participants=max_participants, on_full=on_full)

    def restore(self, life: RoomLife) -> None:
        """Go on with a session that an earlier run left open."""
        self.lives[life.stage_arn] = life
        self.people.restore(life)

    def clear(self) -> None:
        """Forget what is open, to restore it."""
        self.lives.clear()
        self.people.clear()

    def observe(self, fact: RoomFact, moment: Moment) -> list[Change]:
        """Take a fact; return the changes that it leads to, as one transaction. It can be empty."""
        draft = RoomDraft(moment)
        self._observe(fact, draft)
        return draft.changes

    @singledispatchmethod
    def _observe(self, fact: RoomFact, draft: RoomDraft) -> None:  # noqa: ARG002 - the signature of the others
        raise TypeError(type(fact))

    @_observe.register
    def _arrived(self, fact: Arrived, draft: RoomDraft) -> None:
        now_ms = draft.moment.monotonic_ms
        is_polled = fact.at_ms is None
        life = self._life(fact.room, draft, polled_ms=now_ms) if is_polled else self._told(fact.room, draft)
        if life is not None:
            detail = FOUND_BY_POLL if fact.at_ms is None else ""
            self._require_person(life, fact.person, draft, detail=detail, at_ms=fact.at_ms)

    @_observe.register
    def _departed(self, fact: Departed, draft: RoomDraft) -> None:
        life = self._told(fact.room, draft)
        if life is None or self.people.is_gone(life, participant_id_of(fact.person.sid)):
            return
        participant_id = participant_id_of(fact.person.sid)
        if participant_id not in life.people and not fact.was_connected:
            if self._open(life, draft, true_ms=fact.at_ms):
                self.people.refuse(life, fact.person, draft, detail=fact.reason, true_ms=fact.at_ms)
            return
        if self._require_person(life, fact.person, draft, detail="participant_joined was lost", at_ms=fact.at_ms):
            self.people.leave(life, participant_id, draft, cause=fact.cause, detail=fact.reason, true_ms=fact.at_ms)

    @_observe.register
    def _track_started(self, fact: TrackStarted, draft: RoomDraft) -> None:
        life = self._told(fact.room, draft)
        if life is None:
            return
        person = self._require_person(life, fact.person, draft, detail="seen by a track", at_ms=fact.at_ms)
        if person is not None and fact.track_sid not in person.ended_sids:
            tracks = person.track_sids | {fact.track_sid}
            self.people.publish(life, person, tracks, draft, cause=Cause.CLIENT, true_ms=fact.at_ms)

    @_observe.register
    def _track_stopped(self, fact: TrackStopped, draft: RoomDraft) -> None:
        life = self._told(fact.room, draft)
        if life is None:
            return
        person = self._require_person(life, fact.person, draft, detail="seen by a track", at_ms=fact.at_ms)
        if person is not None:
            tracks = person.track_sids - {fact.track_sid}
            person = self.people.end_tracks(life, person, (fact.track_sid,))
            self.people.publish(life, person, tracks, draft, cause=Cause.CLIENT, true_ms=fact.at_ms)

    @_observe.register
    def _room_started(self, fact: RoomStarted, draft: RoomDraft) -> None:
        # Nothing is recorded of a room that nobody has entered, but it ends an earlier life of the room.
        self._told(fact.room, draft)

    @_observe.register
    def _room_finished(self, fact: RoomFinished, draft: RoomDraft) -> None:
        life = self._life(fact.room, draft)
        if life is None:
            return
        if life.stage_arn in self.lives:
            self._end(life, draft, cause=fact.cause, detail=fact.reason, true_ms=fact.at_ms)
        self._ended.add((life.stage_arn, life.session_id), draft.moment.monotonic_ms)

    @_observe.register
    def _polled(self, fact: RoomPolled, draft: RoomDraft) -> None:
        life = self._life(fact.room, draft, polled_ms=fact.began_ms)
        if life is None:
            return
        here = set()
        for polled in sorted(fact.people, key=lambda each: each.person.joined_ms):
            participant_id = participant_id_of(polled.person.sid)
            here.add(participant_id)
            known = life.people.get(participant_id)
            if known is None and not polled.is_active:
                continue
            if known is not None and _is_as_polled(known, polled):
                continue
            person = self._require_person(life, polled.person, draft, detail=FOUND_BY_POLL)
            if person is not None and _is_settled(person.told_ms, fact.began_ms):
                person = self.people.end_tracks(life, person, tuple(person.track_sids - polled.track_sids))
                tracks = polled.track_sids - set(person.ended_sids)
                self.people.publish(life, person, tracks, draft, cause=Cause.CLIENT, detail=FOUND_BY_POLL)
        for participant_id, person in tuple(life.people.items()):
            if participant_id not in here and _is_settled(person.told_ms, fact.began_ms):
                self.people.leave(life, participant_id, draft, cause=Cause.PEER_LOST, detail=FOUND_BY_POLL)

    @_observe.register
    def _listed(self, fact: RoomsListed, draft: RoomDraft) -> None:
        sids = {room.sid for room in fact.rooms}
        ids: set[str] = set()
        if any(not life.room_sid for life in self.lives.values()):
            ids = {session_id_of_room(sid, part=part) for sid in sids for part in range(1, MAX_PARTS + 1)}
        for life in tuple(self.lives.values()):
            is_listed = life.room_sid in sids if life.room_sid else life.session_id in ids
            if not is_listed and _is_settled(life.told_ms, fact.began_ms):
                self._end(life, draft, cause=Cause.PEER_LOST, detail=f"{FOUND_BY_POLL}: the room had ended")

    def _told(self, room: ObservedRoom, draft: RoomDraft) -> RoomLife | None:
        """Return the life that a webhook is about, None if it is over."""
        life = self._life(room, draft)
        if life is not None:
            life.told_ms = draft.moment.monotonic_ms
        return life

    def _life(self, room: ObservedRoom, draft: RoomDraft, *, polled_ms: int | None = None) -> RoomLife | None:
        """Return this life of a room, which may not have a session yet; None if it is over. It ends an earlier one.

        A poll that began at `polled_ms` may begin another session of a life whose session has ended before.
        """
        stage_arn, _ = self._past.stage_of(room.name)
        current = self.lives.get(stage_arn)
        for part in range(1, MAX_PARTS + 1):
            session_id = session_id_of_room(room.sid, part=part)
            if current is not None and current.session_id == session_id:
                current.name, current.room_sid = room.name, room.sid
                current.created_ms = room.created_ms or current.created_ms
                return current
            key = (stage_arn, session_id)
            if key not in self._ended and not self._past.has_session(stage_arn, session_id):
                break
            if polled_ms is None and (current is None or current.room_sid not in {"", room.sid}):
                return None
            if polled_ms is not None and not _is_settled(self._ended.time_of(key), polled_ms):
                return None
        else:
            return None
        if part > 1 and polled_ms is None:
            return None
        if current is not None:
            if room.created_ms == 0 or room.created_ms < current.created_ms:
                return None
            self._end(current, draft, cause=Cause.PEER_LOST, detail="the room had ended: another one has its name")
        return RoomLife(
            stage_arn=stage_arn,
            session_id=session_id,
            start_ms=0,
            name=room.name,
            room_sid=room.sid,
            created_ms=room.created_ms,
        )

    def _open(self, life: RoomLife, draft: RoomDraft, *, true_ms: int) -> bool:
        """Open the session of a life unless it is open; return False if there are too many."""
        if life.stage_arn in self.lives:
            return True
        if len(self.lives) >= self._max_rooms:
            self._on_full("rooms")
            return False
        _, stage = self._past.stage_of(life.name)
        life.start_ms = draft.time(true_ms)
        draft.open_session(life, stage)
        self.lives[life.stage_arn] = life
        return True

    def _require_person(
        self, life: RoomLife, told: ObservedPerson, draft: RoomDraft, *, detail: str, at_ms: int | None = None
    ) -> PresentPerson | None:
        """Return a participant, which joins if it was not seen before; None if it has left or there are too many.

        `at_ms` is the time of a webhook; None for a poll.
        """
        participant_id = participant_id_of(told.sid)
        if participant_id not in life.people:
            true_ms = told.joined_ms or at_ms or 0
            if self.people.is_gone(life, participant_id) or not self.people.has_room():
                return None
            if not self._open(life, draft, true_ms=true_ms):
                return None
            self.people.join(life, told, draft, detail=detail, true_ms=true_ms)
        person = self.people.update(life, told, draft)
        if at_ms is not None:
            person = life.people[participant_id] = replace(person, told_ms=draft.moment.monotonic_ms)
        return person

    def _end(self, life: RoomLife, draft: RoomDraft, *, cause: Cause, detail: str, true_ms: int = 0) -> None:
        for participant_id in tuple(life.people):
            self.people.leave(life, participant_id, draft, cause=cause, detail=detail, true_ms=true_ms)
        draft.end_session(life, true_ms=true_ms)
        del self.lives[life.stage_arn]
        self._ended.add((life.stage_arn, life.session_id), draft.moment.monotonic_ms)


def _is_as_polled(known: PresentPerson, polled: PolledPerson) -> bool:
    """Return whether a poll tells nothing new about a participant, as it does of most."""
    told = polled.person.attributes
    return known.is_known and known.track_sids == polled.track_sids and known.record.attributes == told


def _is_settled(told_ms: int, began_ms: int) -> bool:
    return told_ms + SETTLED_MS <= began_ms
