"""The publisher's side of RTMP against the server's side, without a network."""

import pytest

from stagebook.media.rtmp import command_messages, control_messages
from stagebook.media.rtmp.amf0 import write_values
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.push.push_address import parse_push_url
from stagebook.media.rtmp.push.push_session import STREAM_EXISTS_CODE, PushRefusedError, PushSession
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, PublishReceived, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

LIMITS = RtmpLimits()


class Line:
    """A push session and a server that are connected."""

    def __init__(self) -> None:
        self.session = PushSession(parse_push_url("rtmp://host/app/key"), LIMITS)
        self.server = RtmpConnection(LIMITS)
        self.events: list[RtmpEvent] = []

    def exchange(self) -> None:
        """Carry bytes until both sides are silent."""
        while data := self.session.data_to_send():
            self.events += self.server.receive(data)
            self.answer()

    def answer(self) -> None:
        """Carry the server's bytes."""
        if answer := self.server.data_to_send():
            self.session.receive(answer)

    def server_message(self, message: Message) -> None:
        """Let the server send one more message."""
        self.session.receive(write_message(message, chunk_stream_id=3, chunk_bytes=4096))


@pytest.fixture(name="line")
def line_fixture() -> Line:
    """A connection whose stream was requested."""
    line = Line()
    line.exchange()
    return line


@pytest.fixture(name="publishing")
def publishing_fixture(line: Line) -> Line:
    """A connection whose stream was accepted."""
    line.server.accept_publish()
    line.answer()
    assert line.session.is_publishing
    line.events.clear()
    return line


def test_the_server_is_asked_for_the_stream_of_the_url(line: Line) -> None:
    assert line.events == [PublishReceived(app="app", stream_key="key")]
    assert not line.session.is_publishing


def test_media_arrives_as_it_was_sent(publishing: Line) -> None:
    large = b"\x17" + bytes(200_000)
    publishing.session.send_metadata({"width": 1280.0})
    publishing.session.send_audio(b"\xaf\x01sound", timestamp_ms=20)
    publishing.session.send_video(large, timestamp_ms=40)
    publishing.exchange()
    assert publishing.events == [
        AudioMessage(timestamp_ms=20, payload=b"\xaf\x01sound"),
        VideoMessage(timestamp_ms=40, payload=large),
    ]


def test_the_end_is_told(publishing: Line) -> None:
    publishing.session.end()
    publishing.exchange()
    assert publishing.events == [Unpublished()]


def test_a_refusal_has_the_code_of_the_server(line: Line) -> None:
    line.server.refuse_publish("no")
    with pytest.raises(PushRefusedError, match="Denied"):
        line.answer()


def test_an_existing_stream_is_a_refusal(line: Line) -> None:
    with pytest.raises(PushRefusedError) as refused:
        line.server_message(command_messages.on_status(1, "error", STREAM_EXISTS_CODE, "Stream already exists"))
    assert refused.value.code == STREAM_EXISTS_CODE


def test_an_error_after_the_start_ends_the_stream(publishing: Line) -> None:
    publishing.server.end("the stage was deleted")
    with pytest.raises(PushRefusedError, match="Failed"):
        publishing.answer()


def test_a_command_without_a_transaction_id_is_ignored(line: Line) -> None:
    line.server_message(Message(MessageType.COMMAND_AMF0, 0, 0, write_values("onFCPublish")))
    line.server.accept_publish()
    line.answer()
    assert line.session.is_publishing


def test_a_ping_is_answered(publishing: Line) -> None:
    publishing.server_message(Message(MessageType.USER_CONTROL, 0, 0, b"\x00\x06time"))
    expected = write_message(control_messages.ping_response(b"time"), chunk_stream_id=2, chunk_bytes=4096)
    assert publishing.session.data_to_send() == expected


def test_a_server_of_another_protocol_is_an_error() -> None:
    session = PushSession(parse_push_url("rtmp://host/app/key"), LIMITS)
    with pytest.raises(RtmpError):
        session.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
