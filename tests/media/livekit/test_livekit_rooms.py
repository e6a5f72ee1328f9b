"""Sources and connections of the LiveKit engine: each fact once, in whatever order LiveKit reports."""

import pytest

from stagebook.media.livekit.facts.room_connections import RoomConnection, TrackFacts
from stagebook.media.livekit.livekit_rooms import LiveKitRooms, room_name
from stagebook.media.port import CloseCause, Closed, Connected, MediaFact, SourceMeasured


class Noted:
    """The bookkeeping, what it has reported, and whom it wants removed from LiveKit."""

    def __init__(self) -> None:
        self.facts: list[MediaFact] = []
        self.removed: list[str] = []
        self.rooms = LiveKitRooms(report=self.facts.append, remove=self._remove)

    def _remove(self, connection: RoomConnection) -> None:
        self.removed.append(connection.connection_id)

    def publisher(self, connection_id: str, *, is_connected: bool = True, is_redundant: bool = False) -> None:
        self.rooms.open_publisher(connection_id, "s", now=0.0, is_redundant=is_redundant)
        self.rooms.note_answered(connection_id)
        if is_connected:
            self.rooms.note_connected(connection_id)

    def viewer(self, connection_id: str, *, is_connected: bool = True) -> None:
        assert self.rooms.open_viewer(connection_id, "s", now=0.0) is not None
        self.rooms.note_answered(connection_id)
        if is_connected:
            self.rooms.note_connected(connection_id)

    def take(self) -> list[MediaFact]:
        """Return the facts since the last call."""
        taken = self.facts.copy()
        self.facts.clear()
        return taken


@pytest.fixture
def noted() -> Noted:
    return Noted()


def closed(connection_id: str, cause: CloseCause) -> Closed:
    return Closed(connection_id=connection_id, cause=cause)


def test_the_room_is_named_by_account_and_source(noted: Noted) -> None:
    assert room_name("s") == "sb.-.s"
    connection = noted.rooms.open_publisher("p", "123456789012.s", now=1.5)
    assert (connection.room, connection.opened_at) == ("sb.123456789012.s", 1.5)
    assert noted.rooms.rooms() == {"123456789012.s": "sb.123456789012.s"}


def test_each_fact_is_reported_once(noted: Noted) -> None:
    noted.publisher("p")
    noted.rooms.note_connected("p")
    noted.rooms.note_ended("p", CloseCause.PEER_CLOSED)
    noted.rooms.note_ended("p", CloseCause.CONSENT_LOST)
    noted.rooms.note_connected("p")
    assert noted.facts == [Connected(connection_id="p"), closed("p", CloseCause.PEER_CLOSED)]
    assert noted.removed == []


def test_facts_wait_until_the_offer_is_answered(noted: Noted) -> None:
    noted.rooms.open_publisher("p", "s", now=0.0)
    noted.rooms.note_connected("p")
    noted.rooms.note_ended("p", CloseCause.CONSENT_LOST)
    assert noted.take() == []
    noted.rooms.note_answered("p")
    noted.rooms.note_answered("p")
    assert noted.facts == [Connected(connection_id="p"), closed("p", CloseCause.CONSENT_LOST)]


def test_a_connection_whose_offer_was_refused_is_never_reported(noted: Noted) -> None:
    noted.rooms.open_publisher("p", "s", now=0.0)
    noted.rooms.note_connected("p")
    assert noted.rooms.close("p") is not None
    noted.rooms.note_answered("p")
    assert noted.facts == []
    assert noted.rooms.rooms() == {}


def test_a_connection_that_the_caller_closes_is_not_reported(noted: Noted) -> None:
    noted.publisher("p")
    noted.take()
    connection = noted.rooms.close("p")
    assert connection is not None
    assert connection.room == "sb.-.s"
    noted.rooms.note_ended("p", CloseCause.PEER_CLOSED)
    assert noted.rooms.close("p") is None
    assert noted.facts == []
    assert noted.rooms.rooms() == {"s": "sb.-.s"}, "the source stays until it is ended"


@pytest.mark.parametrize("cause", [CloseCause.CONSENT_LOST, CloseCause.PEER_CLOSED])
def test_a_connection_that_never_was_cannot_be_lost(noted: Noted, cause: CloseCause) -> None:
    noted.publisher("p", is_connected=False)
    noted.rooms.note_ended("p", cause)
    assert noted.facts == [closed("p", CloseCause.NEVER_CONNECTED)]


def test_a_viewer_needs_a_publisher(noted: Noted) -> None:
    assert noted.rooms.open_viewer("v", "s", now=0.0) is None
    noted.publisher("p")
    noted.rooms.note_ended("p", CloseCause.CONSENT_LOST)
    assert noted.rooms.open_viewer("v", "s", now=0.0) is None


def test_viewers_watch_the_connected_publisher_or_else_the_newest(noted: Noted) -> None:
    noted.publisher("p", is_connected=False)
    noted.publisher("q", is_connected=False)
    noted.viewer("v", is_connected=False)
    noted.rooms.note_connected("p")
    noted.viewer("w", is_connected=False)
    viewers = [noted.rooms.find("v"), noted.rooms.find("w")]
    assert [viewer and viewer.publisher_id for viewer in viewers] == ["q", "p"]


def test_a_newer_publisher_replaces_the_older_ones_and_ends_their_viewers(noted: Noted) -> None:
    noted.publisher("p")
    noted.publisher("q", is_connected=False)
    noted.viewer("v")
    noted.take()
    noted.publisher("r")
    assert noted.facts == [
        closed("v", CloseCause.SOURCE_CHANGED),
        Connected(connection_id="r"),
        closed("p", CloseCause.REPLACED),
        closed("q", CloseCause.REPLACED),
    ]
    assert noted.removed == ["v", "p", "q"]


def test_a_publisher_that_connects_before_a_newer_one_ends_nobody(noted: Noted) -> None:
    noted.publisher("p", is_connected=False)
    noted.publisher("q", is_connected=False)
    noted.viewer("v")
    noted.take()
    noted.rooms.note_connected("p")
    assert noted.facts == [Connected(connection_id="p")]


def test_the_viewers_of_a_publisher_that_has_gone_end_with_the_next_one(noted: Noted) -> None:
    noted.publisher("p")
    noted.viewer("v")
    noted.rooms.note_ended("p", CloseCause.CONSENT_LOST)
    noted.take()
    noted.publisher("q")
    assert noted.facts == [closed("v", CloseCause.SOURCE_CHANGED), Connected(connection_id="q")]


def test_redundant_publishers_replace_nobody(noted: Noted) -> None:
    noted.publisher("p", is_redundant=True)
    noted.viewer("v")
    noted.publisher("q", is_redundant=True)
    assert not any(isinstance(fact, Closed) for fact in noted.facts)


def test_a_source_ends_without_a_fact(noted: Noted) -> None:
    noted.publisher("p")
    noted.viewer("v")
    noted.take()
    assert noted.rooms.end_source("s") == "sb.-.s"
    assert noted.rooms.end_source("s") is None
    noted.rooms.note_ended("p", CloseCause.ENGINE_LOST)
    noted.rooms.note_connected("v")
    assert (noted.facts, len(noted.rooms)) == ([], 0)


def test_the_loss_of_a_node_ends_its_source_viewers_first(noted: Noted) -> None:
    noted.publisher("p")
    noted.viewer("v")
    noted.take()
    noted.rooms.note_lost("s")
    noted.rooms.note_lost("s")
    assert noted.facts == [closed("v", CloseCause.ENGINE_LOST), closed("p", CloseCause.ENGINE_LOST)]
    assert (noted.rooms.rooms(), noted.removed) == ({}, [])


def test_tracks_are_reported_of_a_connected_publisher_with_what_was_known_before(noted: Noted) -> None:
    noted.publisher("p", is_connected=False)
    noted.rooms.note_tracks("p", TrackFacts(audio_codec="opus", video_codec="H264"))
    assert noted.take() == []
    noted.rooms.note_connected("p")
    noted.rooms.note_tracks("p", TrackFacts(width=640, height=360))
    measured = SourceMeasured(
        source_id="s",
        connection_id="p",
        bitrate_bps=None,
        audio_codec="opus",
        video_codec="H264",
        width=640,
        height=360,
    )
    assert noted.facts == [Connected(connection_id="p"), measured]


def test_the_tracks_of_viewers_and_strangers_are_ignored(noted: Noted) -> None:
    noted.publisher("p")
    noted.viewer("v")
    noted.take()
    noted.rooms.note_tracks("v", TrackFacts(video_codec="H264"))
    noted.rooms.note_tracks("x", TrackFacts(video_codec="H264"))
    assert noted.facts == []


def test_polls_ask_for_what_nothing_else_reports(noted: Noted) -> None:
    noted.rooms.open_publisher("o", "s", now=0.0)
    noted.publisher("p", is_connected=False)
    noted.publisher("q")
    noted.viewer("v", is_connected=False)
    noted.viewer("w")
    noted.viewer("x")
    noted.rooms.note_socket("w", is_open=True)

    def ids(connections: list[RoomConnection]) -> list[str]:
        return [connection.connection_id for connection in connections]

    assert ids(noted.rooms.unconnected()) == ["v"], "older publishers were replaced"
    assert ids(noted.rooms.connected_publishers()) == ["q"]
    assert ids(noted.rooms.viewers_without_socket()) == ["x"]
    noted.rooms.note_socket("w", is_open=False)
    assert ids(noted.rooms.viewers_without_socket()) == ["x", "w"]


def test_a_listener_may_end_the_source_while_it_is_told(noted: Noted) -> None:
    noted.publisher("p")
    for viewer_id in ("v", "w"):
        noted.viewer(viewer_id)
    noted.take()
    report = noted.rooms._report

    def end(fact: MediaFact) -> None:
        report(fact)
        noted.rooms.end_source("s")

    noted.rooms._report = end
    noted.rooms.note_lost("s")
    assert noted.facts == [closed("v", CloseCause.ENGINE_LOST)]
    assert (noted.rooms.rooms(), len(noted.rooms), noted.rooms._held) == ({}, 0, {})


def test_nothing_is_held_of_connections_that_have_ended_unanswered(noted: Noted) -> None:
    noted.publisher("p")
    noted.rooms.open_viewer("v", "s", now=0.0)
    noted.rooms.note_ended("v", CloseCause.PEER_CLOSED)
    assert noted.rooms.close("v") is None, "as after an offer that was refused"
    assert noted.rooms._held == {}
