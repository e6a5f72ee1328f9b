"""Single observations of rooms: the changes of each, and what is late, above a limit, or of an earlier room session."""

from stagebook.livekit_history.room_facts import (
    ObservedParticipant,
    ObservedRoom,
    ParticipantJoined,
    ParticipantLeft,
    PolledParticipant,
    RoomFinished,
    RoomPolled,
    RoomsListed,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from stagebook.livekit_history.room_ids import session_id_of_room
from stagebook.livekit_history.room_session import SETTLED_MS
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.resources import ParticipantProtocol
from tests.livekit_history.recorded_rooms import NOW_MS, RecordedRooms

ROOM = ObservedRoom(name="lobby", sid="RM_aaaaaaaaaaaa", created_ms=NOW_MS - 100_000)
LATER_ROOM = ObservedRoom(name="lobby", sid="RM_bbbbbbbbbbbb", created_ms=NOW_MS - 50_000)
SESSION, LATER_SESSION = "st-Laaaaaaaaaaaa", "st-Lbbbbbbbbbbbb"
ANN = ObservedParticipant(sid="PA_annannannann", identity="ann", attributes={"team": "red"}, joined_ms=NOW_MS - 5_000)
BARE_ANN = ObservedParticipant(sid=ANN.sid, identity="ann")
ANN_ID = "annannannann"


def arrives(room: ObservedRoom = ROOM, participant: ObservedParticipant = ANN) -> ParticipantJoined:
    return ParticipantJoined(room=room, participant=participant, at_ms=NOW_MS)


def departs(
    room: ObservedRoom = ROOM, *, was_connected: bool = True, reason: str = "CLIENT_INITIATED"
) -> ParticipantLeft:
    return ParticipantLeft(
        room=room, participant=ANN, at_ms=NOW_MS, cause=Cause.CLIENT, reason=reason, was_connected=was_connected
    )


def finished(room: ObservedRoom = ROOM) -> RoomFinished:
    return RoomFinished(room=room, at_ms=NOW_MS, cause=Cause.CLIENT, reason="the room has ended")


def polled(rooms: RecordedRooms, *participants: PolledParticipant, room: ObservedRoom = ROOM) -> RoomPolled:
    return RoomPolled(room=room, participants=participants, began_ms=rooms.now_ms)


def here(*tracks: str, is_active: bool = True) -> PolledParticipant:
    return PolledParticipant(participant=ANN, track_sids=frozenset(tracks), is_active=is_active)


def test_nothing_is_recorded_of_a_room_that_nobody_enters() -> None:
    rooms = RecordedRooms()
    assert rooms.observe(RoomStarted(room=ROOM, at_ms=NOW_MS)) == []
    assert rooms.observe(finished()) == []


def test_joined_has_livekits_time() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives())
    ((at_ms, event),) = rooms.events[SESSION, ANN_ID]
    assert (at_ms, event.cause, event.detail) == (ANN.joined_ms, Cause.CLIENT, None)
    assert rooms.records[SESSION, ANN_ID].attributes == {"team": "red"}
    assert rooms.spans[rooms.stage_of("lobby")[0], SESSION] == (ANN.joined_ms, None)


def test_a_time_that_the_book_is_past_is_told_in_the_detail() -> None:
    rooms = RecordedRooms()
    rooms.last_ms = NOW_MS - 1_000
    rooms.observe(arrives())
    ((at_ms, event),) = rooms.events[SESSION, ANN_ID]
    assert at_ms == NOW_MS - 1_000
    assert event.detail == "LiveKit's time: 2023-11-14T22:13:15.000+00:00"


def test_a_participant_whose_joined_was_lost_has_joined_before_it_left() -> None:
    rooms = RecordedRooms()
    rooms.observe(departs())
    rooms.observe(arrives())
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "LEFT"]


def test_an_aborted_connection_is_a_join_error() -> None:
    rooms = RecordedRooms()
    for _ in range(2):
        rooms.observe(departs(was_connected=False, reason="JOIN_FAILURE"))
    ((_, event),) = rooms.events[SESSION, ANN_ID]
    assert (event.name.value, event.error_code) == ("JOIN_ERROR", ErrorCode.INTERNAL_SERVER_EXCEPTION)
    assert event.detail == "JOIN_FAILURE"
    assert rooms.records[SESSION, ANN_ID].first_join_ms is None


def test_an_aborted_connection_of_a_participant_that_joined_is_its_end() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives())
    rooms.observe(departs(was_connected=False))
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "LEFT"]


def test_a_publication_lasts_from_the_first_track_to_the_last() -> None:
    rooms = RecordedRooms()
    for sid in ("TR_1", "TR_2"):
        rooms.observe(TrackPublished(room=ROOM, participant=BARE_ANN, track_sid=sid, at_ms=NOW_MS))
    rooms.observe(arrives())
    record = rooms.records[SESSION, ANN_ID]
    assert (record.attributes, record.protocol) == ({"team": "red"}, ParticipantProtocol.WHIP)
    for sid in ("TR_1", "TR_2"):
        rooms.observe(TrackUnpublished(room=ROOM, participant=BARE_ANN, track_sid=sid, at_ms=NOW_MS))
    rooms.observe(TrackPublished(room=ROOM, participant=BARE_ANN, track_sid="TR_1", at_ms=NOW_MS))
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED"]


def test_how_an_ingress_is_published_is_not_known() -> None:
    rooms = RecordedRooms()
    ingress = ObservedParticipant(sid=ANN.sid, identity="obs", attributes={}, is_ingress=True)
    rooms.observe(arrives(participant=ingress))
    rooms.observe(TrackPublished(room=ROOM, participant=BARE_ANN, track_sid="TR_1", at_ms=NOW_MS))
    record = rooms.records[SESSION, ANN_ID]
    assert (record.published, record.protocol) == (True, ParticipantProtocol.UNKNOWN)


def test_an_unfinished_join_is_none() -> None:
    rooms = RecordedRooms()
    rooms.observe(polled(rooms, here(is_active=False)))
    assert not rooms.events
    rooms.observe(arrives())
    rooms.now_ms += SETTLED_MS
    rooms.observe(polled(rooms, here(is_active=False)))
    assert rooms.names(SESSION, ANN_ID) == ["JOINED"]


def test_a_poll_does_not_overrule_a_webhook_of_the_same_moment() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives())
    rooms.observe(TrackPublished(room=ROOM, participant=BARE_ANN, track_sid="TR_1", at_ms=NOW_MS))
    rooms.now_ms += SETTLED_MS - 1
    assert rooms.observe(polled(rooms)) == []
    assert rooms.observe(RoomsListed(rooms=[], began_ms=rooms.now_ms)) == []
    rooms.now_ms += 1
    rooms.observe(polled(rooms))
    rooms.observe(RoomsListed(rooms=[], began_ms=rooms.now_ms))
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert not rooms.open


def test_a_later_life_of_a_room_ends_the_earlier_one() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives())
    rooms.observe(RoomStarted(room=LATER_ROOM, at_ms=NOW_MS))
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "LEFT"]
    assert rooms.observe(finished()) == []
    assert rooms.observe(arrives()) == []


def test_an_earlier_life_that_was_never_seen_is_not_recorded_beside_a_later_one() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives(LATER_ROOM))
    assert rooms.observe(departs()) == []
    bare = ObservedRoom(name="lobby", sid="RM_cccccccccccc")
    assert rooms.observe(TrackPublished(room=bare, participant=BARE_ANN, track_sid="TR_1", at_ms=NOW_MS)) == []
    assert rooms.names(LATER_SESSION, ANN_ID) == ["JOINED"]


def test_what_is_too_much_is_not_recorded() -> None:
    rooms = RecordedRooms(max_rooms=1, max_participants=1)
    rooms.observe(arrives())
    other = ObservedParticipant(sid="PA_bobbobbobbob", identity="bob")
    assert rooms.observe(arrives(participant=other)) == []
    rooms.observe(departs())
    assert rooms.observe(arrives(ObservedRoom(name="other", sid="RM_other"), other)) == []
    assert rooms.limits == ["participants", "rooms"]


def test_a_poll_that_tells_nothing_new_changes_nothing() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives())
    rooms.observe(TrackPublished(room=ROOM, participant=BARE_ANN, track_sid="TR_1", at_ms=NOW_MS))
    rooms.now_ms += SETTLED_MS
    assert rooms.observe(polled(rooms, here("TR_1"))) == []
    changed = ObservedParticipant(sid=ANN.sid, identity="ann", attributes={"team": "blue"})
    rooms.observe(polled(rooms, PolledParticipant(participant=changed, track_sids=frozenset({"TR_1"}), is_active=True)))
    assert rooms.records[SESSION, ANN_ID].attributes == {"team": "blue"}
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "PUBLISH_STARTED"]


def test_a_room_that_goes_on_after_its_session_ended_has_another_session() -> None:
    rooms = RecordedRooms()
    rooms.observe(arrives())
    rooms.now_ms += SETTLED_MS
    rooms.observe(RoomsListed(rooms=[], began_ms=rooms.now_ms))
    assert rooms.names(SESSION, ANN_ID) == ["JOINED", "LEFT"]
    assert rooms.observe(arrives()) == [], "a webhook may be an old one"
    assert rooms.observe(polled(rooms, here())) == [], "the poll may have begun before the end"
    rooms.now_ms += SETTLED_MS
    rooms.observe(RoomsListed(rooms=[ROOM], began_ms=rooms.now_ms))
    rooms.observe(polled(rooms, here()))
    second = session_id_of_room(ROOM.sid, part=2)
    assert rooms.names(second, ANN_ID) == ["JOINED"]
    rooms.observe(TrackPublished(room=ROOM, participant=BARE_ANN, track_sid="TR_1", at_ms=NOW_MS))
    rooms.observe(departs())
    assert rooms.names(second, ANN_ID) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    rooms.observe(finished())
    assert not rooms.open
    assert rooms.observe(arrives()) == []
