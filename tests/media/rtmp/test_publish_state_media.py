"""PublishState with media: media before and after the acceptance, and each way to end a publish."""

from collections.abc import Callable

import pytest

from stagebook.media.rtmp.amf0 import write_values
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.rtmp.client_session import ClientSession, connected, publishing, requested

AUDIO, VIDEO, DATA, DATA_AMF3 = 8, 9, 18, 15
PENDING_OVERHEAD_BYTES = 128

METADATA = write_values("@setDataFrame", "onMetaData", {"width": 640.0})


@pytest.mark.parametrize("state", [connected, requested, publishing])
def test_the_end_is_sent_once_and_later_messages_are_ignored(state: Callable[[], ClientSession]) -> None:
    session = state()
    session.received()
    session.server.end("The frame is too large.")
    session.server.end("Again.")
    assert session.received_status() == {
        "level": "error",
        "code": "NetStream.Failed",
        "description": "The frame is too large.",
    }
    assert session.send_message(VIDEO, b"x", stream_id=1) == []
    assert session.send(b"garbage") == []


def test_an_end_before_connect_sends_nothing() -> None:
    session = ClientSession()
    session.server.end("Too slow.")
    assert session.received() == []
    assert session.send_command("connect", {"app": "app"}, transaction_id=1) == []
    assert session.received() == []


def test_media_of_an_accepted_publish_is_events() -> None:
    session = publishing()
    assert session.send_message(VIDEO, b"\x17", stream_id=1, timestamp=5) == [
        VideoMessage(timestamp_ms=5, payload=b"\x17")
    ]
    assert session.send_message(AUDIO, b"\xaf", stream_id=1, timestamp=6) == [
        AudioMessage(timestamp_ms=6, payload=b"\xaf")
    ]


@pytest.mark.parametrize("stream_id", [0, 2])
def test_media_on_another_message_stream_is_an_error(stream_id: int) -> None:
    with pytest.raises(RtmpError, match=f"media arrived on message stream {stream_id}; `publish` was sent on 1"):
        publishing().send_message(VIDEO, b"\x17", stream_id=stream_id)


@pytest.mark.parametrize("state", [ClientSession, connected])
@pytest.mark.parametrize("type_id", [AUDIO, VIDEO, 22])
def test_media_before_publish_is_an_error(state: Callable[[], ClientSession], type_id: int) -> None:
    with pytest.raises(RtmpError, match="media arrived before `publish`"):
        state().send_message(type_id, b"x", stream_id=1)


@pytest.mark.parametrize("state", [connected, requested, publishing])
@pytest.mark.parametrize("data", [METADATA, METADATA[:-1], b""], ids=["metadata", "truncated", "empty"])
def test_data_messages_are_ignored(state: Callable[[], ClientSession], data: bytes) -> None:
    for type_id in (DATA, DATA_AMF3):
        assert state().send_message(type_id, data, stream_id=1) == []


def test_media_before_the_acceptance_is_kept() -> None:
    session = requested()
    assert session.send_message(VIDEO, b"\x17", stream_id=1, timestamp=5) == []
    assert session.send(b"") == []
    session.server.accept_publish()
    assert session.send_message(AUDIO, b"\xaf", stream_id=1, timestamp=6) == [
        VideoMessage(timestamp_ms=5, payload=b"\x17"),
        AudioMessage(timestamp_ms=6, payload=b"\xaf"),
    ]
    assert session.send(b"") == []


def test_kept_media_is_returned_without_further_bytes() -> None:
    session = requested()
    session.send_message(VIDEO, b"\x17", stream_id=1)
    session.server.accept_publish()
    assert session.send(b"") == [VideoMessage(timestamp_ms=0, payload=b"\x17")]


def test_kept_media_is_limited_in_bytes_and_messages() -> None:
    limits = RtmpLimits(max_pending_media_bytes=1000)
    with pytest.raises(RtmpError, match="more than 1000 bytes of media arrived before the answer to `publish`"):
        requested(limits).send_message(VIDEO, bytes(1001 - PENDING_OVERHEAD_BYTES), stream_id=1)
    assert requested(limits).send_message(VIDEO, bytes(1000 - PENDING_OVERHEAD_BYTES), stream_id=1) == []
    session = requested(limits)
    empty_messages = b"".join(session.encoder.message(Message(AUDIO, 1, 0, b"")) for _ in range(100))
    with pytest.raises(RtmpError, match="more than 1000 bytes of media arrived before the answer to `publish`"):
        session.send(empty_messages)


def fc_unpublish(session: ClientSession) -> list[RtmpEvent]:
    return session.send_command("FCUnpublish", None, "key", transaction_id=6)


def delete_stream(session: ClientSession) -> list[RtmpEvent]:
    return session.send_command("deleteStream", None, 1.0)


def delete_stream_by_name(session: ClientSession) -> list[RtmpEvent]:
    """As GStreamer does."""
    return session.send_command("deleteStream", None, "key")


def delete_stream_without_a_name(session: ClientSession) -> list[RtmpEvent]:
    return session.send_command("deleteStream", None)


def close_stream(session: ClientSession) -> list[RtmpEvent]:
    return session.send_command("closeStream", None, stream_id=1)


ENDINGS = [fc_unpublish, delete_stream, delete_stream_by_name, delete_stream_without_a_name, close_stream]


@pytest.mark.parametrize("state", [requested, publishing])
@pytest.mark.parametrize("end_publish", ENDINGS)
def test_a_client_can_end_its_publish(
    state: Callable[[], ClientSession], end_publish: Callable[[ClientSession], list[RtmpEvent]]
) -> None:
    session = state()
    assert end_publish(session) == [Unpublished()]
    assert session.received_status() == {
        "level": "status",
        "code": "NetStream.Unpublish.Success",
        "description": "Publishing ended.",
    }
    assert delete_stream(session) == []
    assert session.send_message(VIDEO, b"x", stream_id=1) == []
    with pytest.raises(RtmpError, match="no publish request is pending"):
        session.server.accept_publish()


def test_fcunpublish_is_answered_like_fcpublish() -> None:
    session = publishing()
    fc_unpublish(session)
    assert [command.name for command in session.received_commands()] == ["onFCUnpublish", "_result", "onStatus"]


@pytest.mark.parametrize("end_publish", ENDINGS)
def test_without_a_publish_nothing_ends(end_publish: Callable[[ClientSession], list[RtmpEvent]]) -> None:
    assert end_publish(connected()) == []


def test_other_message_streams_can_be_deleted_and_closed() -> None:
    session = publishing()
    assert session.send_command("deleteStream", None, 2.0) == []
    assert session.send_command("closeStream", None, stream_id=2) == []
    assert len(session.send_message(VIDEO, b"x", stream_id=1)) == 1
