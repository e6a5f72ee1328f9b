"""What a publish is made of and how it ends: media when it may come, media that came early, and each way to leave."""

from collections.abc import Callable

import pytest

from stagebook.media.rtmp.amf0 import write_values
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_events import AudioMessage, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits
from tests.media.rtmp.session import Session, asked, connected, publishing

AUDIO, VIDEO, DATA, DATA_AMF3 = 8, 9, 18, 15
HELD_OVERHEAD_BYTES = 128

METADATA = write_values("@setDataFrame", "onMetaData", {"width": 640.0})


@pytest.mark.parametrize("state", [connected, asked, publishing])
def test_the_end_is_told_once_and_nothing_counts_after_it(state: Callable[[], Session]) -> None:
    session = state()
    session.answers()
    session.server.end("The picture is too large.")
    session.server.end("Again.")
    assert session.status() == {
        "level": "error",
        "code": "NetStream.Failed",
        "description": "The picture is too large.",
    }
    assert session.say(VIDEO, b"x", stream_id=1) == []
    assert session.send(b"garbage") == []


def test_an_end_before_connect_is_told_to_nobody() -> None:
    session = Session()
    session.server.end("Too slow.")
    assert session.answers() == []
    assert session.command("connect", {"app": "app"}, transaction_id=1) == []
    assert session.answers() == []


def test_media_of_an_accepted_publish_are_events() -> None:
    session = publishing()
    assert session.say(VIDEO, b"\x17", stream_id=1, timestamp=5) == [VideoMessage(timestamp_ms=5, payload=b"\x17")]
    assert session.say(AUDIO, b"\xaf", stream_id=1, timestamp=6) == [AudioMessage(timestamp_ms=6, payload=b"\xaf")]


@pytest.mark.parametrize("stream_id", [0, 2])
def test_media_is_on_the_message_stream_of_the_publish(stream_id: int) -> None:
    with pytest.raises(RtmpError, match=f"media came on message stream {stream_id}, `publish` on 1"):
        publishing().say(VIDEO, b"\x17", stream_id=stream_id)


@pytest.mark.parametrize("state", [Session, connected])
@pytest.mark.parametrize("type_id", [AUDIO, VIDEO, 22])
def test_media_does_not_come_before_publish(state: Callable[[], Session], type_id: int) -> None:
    with pytest.raises(RtmpError, match="media came before `publish`"):
        state().say(type_id, b"x", stream_id=1)


@pytest.mark.parametrize("state", [connected, asked, publishing])
@pytest.mark.parametrize("data", [METADATA, METADATA[:-1], b""], ids=["metadata", "cut off", "nothing"])
def test_data_is_passed_over(state: Callable[[], Session], data: bytes) -> None:
    for type_id in (DATA, DATA_AMF3):
        assert state().say(type_id, data, stream_id=1) == []


def test_media_of_an_encoder_that_does_not_wait_is_held_until_it_may_publish() -> None:
    session = asked()
    assert session.say(VIDEO, b"\x17", stream_id=1, timestamp=5) == []
    assert session.send(b"") == []
    session.server.accept_publish()
    assert session.say(AUDIO, b"\xaf", stream_id=1, timestamp=6) == [
        VideoMessage(timestamp_ms=5, payload=b"\x17"),
        AudioMessage(timestamp_ms=6, payload=b"\xaf"),
    ]
    assert session.send(b"") == []


def test_held_media_comes_also_without_more_bytes() -> None:
    session = asked()
    session.say(VIDEO, b"\x17", stream_id=1)
    session.server.accept_publish()
    assert session.send(b"") == [VideoMessage(timestamp_ms=0, payload=b"\x17")]


def test_what_is_held_is_bounded_in_bytes_and_in_messages() -> None:
    limits = RtmpLimits(max_held_bytes=1000)
    with pytest.raises(RtmpError, match="more than 1000 bytes came before the publish was answered"):
        asked(limits).say(VIDEO, bytes(1001 - HELD_OVERHEAD_BYTES), stream_id=1)
    assert asked(limits).say(VIDEO, bytes(1000 - HELD_OVERHEAD_BYTES), stream_id=1) == []
    session = asked(limits)
    empty_messages = b"".join(session.wire.message(Message(AUDIO, 1, 0, b"")) for _ in range(100))
    with pytest.raises(RtmpError, match="more than 1000 bytes came before the publish was answered"):
        session.send(empty_messages)


def fc_unpublish(session: Session) -> list[RtmpEvent]:
    return session.command("FCUnpublish", None, "key", transaction_id=6)


def delete_stream(session: Session) -> list[RtmpEvent]:
    return session.command("deleteStream", None, 1.0)


def delete_stream_by_name(session: Session) -> list[RtmpEvent]:
    """As GStreamer does."""
    return session.command("deleteStream", None, "key")


def delete_stream_without_a_name(session: Session) -> list[RtmpEvent]:
    return session.command("deleteStream", None)


def close_stream(session: Session) -> list[RtmpEvent]:
    return session.command("closeStream", None, stream_id=1)


LEAVES = [fc_unpublish, delete_stream, delete_stream_by_name, delete_stream_without_a_name, close_stream]


@pytest.mark.parametrize("state", [asked, publishing])
@pytest.mark.parametrize("leave", LEAVES)
def test_an_encoder_can_end_its_publish(
    state: Callable[[], Session], leave: Callable[[Session], list[RtmpEvent]]
) -> None:
    session = state()
    assert leave(session) == [Unpublished()]
    assert session.status() == {
        "level": "status",
        "code": "NetStream.Unpublish.Success",
        "description": "Publishing ended.",
    }
    assert delete_stream(session) == []
    assert session.say(VIDEO, b"x", stream_id=1) == []
    with pytest.raises(RtmpError, match="no publish waits"):
        session.server.accept_publish()


def test_fcunpublish_is_answered_as_fcpublish_is() -> None:
    session = publishing()
    fc_unpublish(session)
    assert [command.name for command in session.commands()] == ["onFCUnpublish", "_result", "onStatus"]


@pytest.mark.parametrize("leave", LEAVES)
def test_without_a_publish_there_is_nothing_to_end(leave: Callable[[Session], list[RtmpEvent]]) -> None:
    assert leave(connected()) == []


def test_another_stream_can_be_deleted_or_closed() -> None:
    session = publishing()
    assert session.command("deleteStream", None, 2.0) == []
    assert session.command("closeStream", None, stream_id=2) == []
    assert len(session.say(VIDEO, b"x", stream_id=1)) == 1
