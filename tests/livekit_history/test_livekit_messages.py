"""LiveKit's messages are read as facts: who a participant is, why it left, and when."""

import pytest
from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from stagebook.livekit_history.livekit_messages import (
    MAX_ATTRIBUTES_SIZE_BYTES,
    polled_participants,
    rooms_listed,
    webhook_fact,
)
from stagebook.livekit_history.room_facts import (
    ObservedRoom,
    ParticipantJoined,
    ParticipantLeft,
    RoomFinished,
    RoomStarted,
    TrackPublished,
)
from stagebook.stage.events import Cause

NOW_MS = 1_700_000_000_500
ROOM = models.Room(sid="RM_aaaaaaaaaaaa", name="lobby", creation_time=1_600_000_000, creation_time_ms=1_600_000_000_123)
Info = models.ParticipantInfo


def webhook(event: str, participant: Info | None = None, *, created_at: int = 0) -> WebhookEvent:
    return WebhookEvent(event=event, room=ROOM, participant=participant, created_at=created_at)


def arrived(participant: Info) -> ParticipantJoined:
    fact = webhook_fact(webhook("participant_joined", participant), now_ms=NOW_MS)
    assert isinstance(fact, ParticipantJoined)
    return fact


def test_a_participant_is_described_by_its_attributes() -> None:
    fact = arrived(
        Info(
            sid="PA_1",
            identity="ann",
            name="Ann",
            metadata="{}",
            attributes={"team": "red"},
            joined_at_ms=1_650_000_000_000,
            kind=Info.Kind.SIP,
            permission=models.ParticipantPermission(hidden=True),
        )
    )
    assert fact.room == ObservedRoom(name="lobby", sid="RM_aaaaaaaaaaaa", created_ms=1_600_000_000_123)
    assert fact.participant.identity == "ann"
    assert fact.participant.joined_ms == 1_650_000_000_000
    assert fact.participant.attributes == {
        "livekit.name": "Ann",
        "livekit.kind": "SIP",
        "livekit.hidden": "true",
        "team": "red",
        "livekit.metadata": "{}",
    }


def test_attributes_are_kept_as_far_as_they_fit() -> None:
    attributes = {"a": "x" * MAX_ATTRIBUTES_SIZE_BYTES, "b\0": "é\0" * 10, "c": "y" * 900}
    kept = arrived(Info(sid="PA_1", identity="ann", attributes=attributes, metadata="z" * 900)).participant.attributes
    assert kept == {"b": "é" * 10, "c": "y" * 900}


@pytest.mark.parametrize(
    "participant",
    [
        Info(sid="PA_1", kind=Info.Kind.EGRESS),
        Info(sid="PA_1", permission=models.ParticipantPermission(recorder=True)),
        Info(),
    ],
)
def test_recorders_are_no_participants(participant: Info) -> None:
    assert webhook_fact(webhook("participant_joined", participant), now_ms=NOW_MS) is None
    assert polled_participants([participant]) == []


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("CLIENT_INITIATED", Cause.CLIENT),
        ("PARTICIPANT_REMOVED", Cause.DISCONNECTED_BY_API),
        ("SERVER_SHUTDOWN", Cause.SHUTDOWN),
        ("JOIN_FAILURE", Cause.NEVER_CONNECTED),
        ("CONNECTION_TIMEOUT", Cause.PEER_LOST),
        ("UNKNOWN_REASON", Cause.PEER_LOST),
    ],
)
def test_the_cause_of_left_follows_from_the_reason(reason: str, cause: Cause) -> None:
    participant = Info(sid="PA_1", disconnect_reason=reason)
    fact = webhook_fact(webhook("participant_left", participant), now_ms=NOW_MS)
    assert isinstance(fact, ParticipantLeft)
    assert (fact.cause, fact.reason, fact.was_connected) == (cause, reason, True)


def test_an_aborted_connection_was_not_connected() -> None:
    fact = webhook_fact(webhook("participant_connection_aborted", Info(sid="PA_1")), now_ms=NOW_MS)
    assert isinstance(fact, ParticipantLeft)
    assert not fact.was_connected


@pytest.mark.parametrize(
    ("created_at", "at_ms"),
    [
        (1_700_000_000, NOW_MS),
        (1_699_999_990, 1_699_999_990_999),
        (1_700_000_060, NOW_MS),
        (0, NOW_MS),
        (2**40, NOW_MS),
    ],
)
def test_an_event_is_as_late_as_its_second_and_the_present_allow(created_at: int, at_ms: int) -> None:
    fact = webhook_fact(webhook("room_finished", created_at=created_at), now_ms=NOW_MS)
    assert isinstance(fact, RoomFinished)
    assert fact.at_ms == at_ms


def test_other_webhooks_are_read_or_ignored() -> None:
    assert isinstance(webhook_fact(webhook("room_started"), now_ms=NOW_MS), RoomStarted)
    event = webhook("track_published", Info(sid="PA_1", identity="ann"))
    event.track.sid = "TR_1"
    fact = webhook_fact(event, now_ms=NOW_MS)
    assert isinstance(fact, TrackPublished)
    assert (fact.track_sid, fact.participant.attributes) == ("TR_1", None)
    assert webhook_fact(webhook("of a later version", Info(sid="PA_1")), now_ms=NOW_MS) is None
    assert webhook_fact(WebhookEvent(event="egress_started"), now_ms=NOW_MS) is None


def test_a_poll_tells_who_is_there_with_which_tracks() -> None:
    state = Info.State
    answer = [
        Info(sid="PA_1", state=state.ACTIVE, tracks=[models.TrackInfo(sid="TR_1")]),
        Info(sid="PA_2", state=state.JOINING),
        Info(sid="PA_3", state=state.DISCONNECTED),
    ]
    assert [(each.participant.sid, each.is_active, each.track_sids) for each in polled_participants(answer)] == [
        ("PA_1", True, {"TR_1"}),
        ("PA_2", False, frozenset()),
    ]
    assert [room.name for room in rooms_listed([ROOM, models.Room(name="without a sid")], began_ms=7).rooms] == [
        "lobby"
    ]
