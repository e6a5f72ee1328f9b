"""Whatever is lost, late, doubled or out of order: after a poll the book has each participant's history once."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.livekit_history.room_facts import (
    ObservedParticipant,
    ObservedRoom,
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
from stagebook.livekit_history.room_session import SETTLED_MS
from stagebook.stage.events import Cause, EventName
from stagebook.stage.resources import ParticipantState
from tests.livekit_history.recorded_rooms import NOW_MS, RecordedRooms

NAMES = ("lobby", "studio")


@dataclass
class TrueRoom:
    """A room session as LiveKit has it: the participants and their tracks."""

    observed: ObservedRoom
    participants: dict[str, tuple[ObservedParticipant, set[str]]] = field(default_factory=dict)


class LiveKitModel:
    """A LiveKit server: it makes moves, and a webhook for each of them."""

    def __init__(self, randomness: random.Random, *, skew_ms: int) -> None:
        self._random = randomness
        self._skew_ms = skew_ms
        self._count = 0
        self.rooms: dict[str, TrueRoom] = {}
        self.sessions: list[TrueRoom] = []
        self.everybody: dict[tuple[str, str], ObservedParticipant] = {}

    def _sid(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:012d}"

    def move(self, now_ms: int) -> list[RoomFact]:
        """Make a random move; return its webhooks."""
        at_ms = now_ms + self._skew_ms
        name = self._random.choice(NAMES)
        room = self.rooms.get(name)
        if room is None:
            room = TrueRoom(observed=ObservedRoom(name=name, sid=self._sid("RM"), created_ms=at_ms))
            self.rooms[name] = room
            self.sessions.append(room)
            return [RoomStarted(room=room.observed, at_ms=at_ms)]
        choice = self._random.random()
        if choice < 0.4 or not room.participants:
            return [self._join(room, at_ms)]
        if choice < 0.5:
            return self._finish(name, room, at_ms)
        sid = self._random.choice(sorted(room.participants))
        if choice < 0.7:
            return [self._leave(room, sid, at_ms)]
        return [self._track(room, sid, at_ms)]

    def _join(self, room: TrueRoom, at_ms: int) -> RoomFact:
        participant = ObservedParticipant(
            sid=self._sid("PA"), identity="somebody", attributes={"a": "b"}, joined_ms=at_ms
        )
        room.participants[participant.sid] = (participant, set())
        self.everybody[room.observed.sid, participant.sid] = participant
        return ParticipantJoined(room=room.observed, participant=participant, at_ms=at_ms)

    def _leave(self, room: TrueRoom, sid: str, at_ms: int) -> RoomFact:
        participant, _ = room.participants.pop(sid)
        return ParticipantLeft(
            room=room.observed, participant=participant, at_ms=at_ms, cause=Cause.CLIENT, reason="", was_connected=True
        )

    def _track(self, room: TrueRoom, sid: str, at_ms: int) -> RoomFact:
        participant, tracks = room.participants[sid]
        # Such a webhook names the participant alone, and some versions of LiveKit leave out when the room was created.
        bare = ObservedParticipant(sid=participant.sid, identity=participant.identity)
        observed = ObservedRoom(name=room.observed.name, sid=room.observed.sid)
        if tracks and self._random.random() < 0.5:
            return TrackUnpublished(room=observed, participant=bare, track_sid=tracks.pop(), at_ms=at_ms)
        tracks.add(self._sid("TR"))
        return TrackPublished(room=observed, participant=bare, track_sid=max(tracks), at_ms=at_ms)

    def _finish(self, name: str, room: TrueRoom, at_ms: int) -> list[RoomFact]:
        del self.rooms[name]
        left = [self._leave(room, sid, at_ms) for sid in sorted(room.participants)]
        return [*left, RoomFinished(room=room.observed, at_ms=at_ms, cause=Cause.CLIENT, reason="")]

    def answers(self, now_ms: int) -> list[RoomFact]:
        """The answers to a poll of all rooms."""
        listed = RoomsListed(rooms=[room.observed for room in self.rooms.values()], began_ms=now_ms)
        polled = [
            RoomPolled(
                room=room.observed,
                participants=[
                    PolledParticipant(participant=participant, track_sids=frozenset(tracks), is_active=True)
                    for participant, tracks in room.participants.values()
                ],
                began_ms=now_ms,
            )
            for room in self.rooms.values()
        ]
        return [listed, *polled]


def play(randomness: random.Random, *, skew_ms: int) -> tuple[LiveKitModel, RecordedRooms]:
    """Let a LiveKit live for a while over a bad network, then poll it twice."""
    livekit, rooms = LiveKitModel(randomness, skew_ms=skew_ms), RecordedRooms()
    waiting: list[tuple[int, RoomFact]] = []
    for _ in range(randomness.randrange(1, 60)):
        rooms.now_ms += randomness.choice((0, 1, 500, 3_000))
        for fact in livekit.move(rooms.now_ms):
            copies = randomness.choice((0, 1, 1, 1, 2))
            waiting += [(rooms.now_ms + randomness.choice((0, 0, 0, 1_000, 30_000)), fact) for _ in range(copies)]
        for due_ms, fact in tuple(waiting):
            if due_ms <= rooms.now_ms:
                waiting.remove((due_ms, fact))
                rooms.observe(fact)
        if randomness.random() < 0.15:
            answers = livekit.answers(rooms.now_ms)
            # Something happens while the answers are under way.
            late = [fact for fact in livekit.move(rooms.now_ms) if randomness.random() < 0.7]
            for fact in [*late, *answers] if randomness.random() < 0.5 else [*answers, *late]:
                rooms.observe(fact)
    for _, fact in waiting:
        rooms.observe(fact)
    rooms.now_ms += SETTLED_MS
    for fact in livekit.answers(rooms.now_ms):
        rooms.observe(fact)
    return livekit, rooms


@given(seed=st.integers(0, 2**32), skew_ms=st.sampled_from((0, -90_000, 90_000)))
@settings(max_examples=150, deadline=None)
def test_after_a_poll_each_history_is_whole(seed: int, skew_ms: int) -> None:
    livekit, rooms = play(random.Random(seed), skew_ms=skew_ms)
    present = {
        (session_id_of_room(room.observed.sid), participant_id_of(sid)): bool(tracks)
        for room in livekit.rooms.values()
        for sid, (_, tracks) in room.participants.items()
    }
    known = {(session_id_of_room(room), participant_id_of(sid)) for room, sid in livekit.everybody}
    assert set(rooms.events) <= known
    assert present.keys() <= rooms.events.keys()
    for key, history in rooms.events.items():
        names = [event.name for _, event in history]
        assert names.count(EventName.JOINED) == 1
        assert names[0] is EventName.JOINED
        assert names.count(EventName.LEFT) == (key not in present)
        middle = names[1:] if key in present else names[1:-1]
        started, stopped = EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED
        assert middle == [(started, stopped)[number % 2] for number in range(len(middle))]
        assert (len(middle) % 2 == 1) is present.get(key, False)
        record = rooms.records[key]
        assert (record.state is ParticipantState.CONNECTED) is (key in present)
        assert record.first_join_ms == history[0][0]
        assert record.published is (started in names)
    open_sessions = {session for (_, session), (_, end_ms) in rooms.spans.items() if end_ms is None}
    assert open_sessions <= {session_id_of_room(room.observed.sid) for room in livekit.rooms.values()}
    assert open_sessions >= {session for session, _ in present}
    assert rooms.machine.participants.count == len(present)
    assert rooms.machine.participants.publishers == sum(present.values())
    assert sum(session.publishers for session in rooms.machine.sessions.values()) == sum(present.values())


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_without_losses_all_that_happened_is_recorded(seed: int) -> None:
    randomness = random.Random(seed)
    livekit, rooms = LiveKitModel(randomness, skew_ms=0), RecordedRooms()
    for _ in range(40):
        rooms.now_ms += randomness.choice((0, 1, 500))
        for fact in livekit.move(rooms.now_ms):
            rooms.observe(fact)
    assert rooms.events.keys() == {
        (session_id_of_room(room), participant_id_of(sid)) for room, sid in livekit.everybody
    }
    ended = {span for span in rooms.spans.values() if span[1] is not None}
    assert len(ended) <= len(livekit.sessions)
    assert all(start_ms >= NOW_MS for start_ms, _ in rooms.spans.values())
