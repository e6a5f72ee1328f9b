"""What webhooks and polls say is noted, however late, often and in whatever order they come."""

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, Room, TrackInfo, TrackType
from livekit.protocol.webhook import WebhookEvent

from stagebook.media.livekit.facts.webhook_notes import note_event, note_participant
from stagebook.media.port import CloseCause
from tests.media.livekit.livekit_book import ROOM, RecordedRooms, participant


@pytest.fixture
def book() -> RecordedRooms:
    book = RecordedRooms()
    book.publisher()
    return book


def event(name: str, identity: str = "publisher", *, room: str = ROOM, **members: object) -> WebhookEvent:
    made = WebhookEvent(event=name, room=Room(name=room), participant=participant(identity))
    for member, value in members.items():
        getattr(made, member).CopyFrom(value)
    return made


def left(reason: DisconnectReason) -> WebhookEvent:
    gone = participant("publisher", reason=reason)
    return event("participant_left", participant=gone)


def test_joining_and_leaving_are_reported_once(book: RecordedRooms) -> None:
    for each in (event("participant_joined"), event("participant_joined"), left(DisconnectReason.CLIENT_INITIATED)):
        note_event(each, book.rooms)
    note_event(left(DisconnectReason.CLIENT_INITIATED), book.rooms)
    assert (book.connected, book.closed) == (["publisher"], [("publisher", CloseCause.PEER_CLOSED)])


def test_a_join_after_the_end_is_late_news(book: RecordedRooms) -> None:
    note_event(left(DisconnectReason.CONNECTION_TIMEOUT), book.rooms)
    note_event(event("participant_joined"), book.rooms)
    assert (book.connected, book.closed) == ([], [("publisher", CloseCause.NEVER_CONNECTED)])


@pytest.mark.parametrize("name", ["participant_left", "participant_connection_aborted"])
def test_the_reason_of_an_end_is_kept(book: RecordedRooms, name: str) -> None:
    note_event(event("participant_joined"), book.rooms)
    aborted = participant("publisher", reason=DisconnectReason.SERVER_SHUTDOWN)
    note_event(event(name, participant=aborted), book.rooms)
    assert book.closed == [("publisher", CloseCause.ENGINE_LOST)]


def test_a_published_track_brings_its_codec(book: RecordedRooms) -> None:
    note_event(event("participant_joined"), book.rooms)
    track = TrackInfo(type=TrackType.VIDEO, mime_type="video/VP8")
    note_event(event("track_published", track=track), book.rooms)
    assert [(each.video_codec, each.audio_codec, each.width) for each in book.measured] == [("VP8", None, None)]


@pytest.mark.parametrize(
    "strange",
    [event("participant_joined", "stranger"), event("participant_joined", room="another"), event("room_started")],
)
def test_what_others_do_is_ignored(book: RecordedRooms, strange: WebhookEvent) -> None:
    note_event(strange, book.rooms)
    assert book.facts == []


def test_a_poll_repairs_a_lost_join_and_brings_the_size(book: RecordedRooms) -> None:
    note_participant(participant("publisher"), book.rooms)
    assert book.connected == ["publisher"]
    assert [(each.video_codec, each.audio_codec, each.width, each.height) for each in book.measured] == [
        ("H264", "OPUS", 640, 360)
    ]


def test_a_participant_that_is_joining_is_not_connected(book: RecordedRooms) -> None:
    note_participant(participant("publisher", state=ParticipantInfo.JOINING), book.rooms)
    assert book.facts == []


def test_a_poll_may_find_a_participant_that_has_ended(book: RecordedRooms) -> None:
    note_participant(participant("publisher"), book.rooms)
    gone = participant("publisher", state=ParticipantInfo.DISCONNECTED, reason=DisconnectReason.CONNECTION_TIMEOUT)
    note_participant(gone, book.rooms)
    assert book.closed == [("publisher", CloseCause.CONSENT_LOST)]
