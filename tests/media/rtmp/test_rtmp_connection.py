"""RtmpConnection: acknowledgements, pings, the limits of a connection, and errors."""

import pytest

from stagebook.media.rtmp.amf0 import write_values
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.rtmp.client_session import (
    HANDSHAKE,
    LIMITS,
    SERVER_HANDSHAKE_BYTES,
    ClientSession,
    connected,
    publishing,
)

ACKNOWLEDGEMENT, USER_CONTROL, WINDOW, BANDWIDTH, AUDIO, VIDEO = 3, 4, 5, 6, 8, 9
PING_REQUEST = bytes.fromhex("0006") + b"time"


def test_the_handshake_is_answered_and_the_chunk_stream_follows() -> None:
    server = RtmpConnection(LIMITS)
    assert server.receive(HANDSHAKE + b"\x03") == []
    assert len(server.data_to_send()) == SERVER_HANDSHAKE_BYTES
    assert server.data_to_send() == b""


def test_a_ping_request_is_answered_with_its_bytes() -> None:
    session = ClientSession()
    assert session.send_message(USER_CONTROL, PING_REQUEST) == []
    assert session.received() == [Message(USER_CONTROL, 0, 0, bytes.fromhex("0007") + b"time")]


ONE_BYTE = b"\xc7"
"""A type 3 chunk that is an empty message."""


def send_until(session: ClientSession, sent_bytes: int, *, type_id: int = 8) -> None:
    """Send messages until the session has sent exactly `sent_bytes`. ONE_BYTE can follow."""
    session.send(session.encoder.set_chunk_bytes(10**6))
    kind = bytes([type_id]) + bytes.fromhex("01000000")
    missing = sent_bytes - session.sent_bytes - 24
    session.send(bytes.fromhex("06 000000") + missing.to_bytes(3) + kind + bytes(missing))
    session.send(bytes.fromhex("07 000000 000000") + kind)
    assert session.sent_bytes == sent_bytes


def test_received_bytes_are_acknowledged_after_each_window() -> None:
    """RTMP 1.0 section 5.4.3. The bytes of the handshake count too."""
    session = publishing()
    session.send_message(WINDOW, (10_000).to_bytes(4))
    for total in (10_000, 20_000):
        send_until(session, total - 1)
        assert session.received() == []
        session.send(ONE_BYTE)
        assert session.received() == [Message(ACKNOWLEDGEMENT, 0, 0, total.to_bytes(4))]


def test_the_default_window_is_the_one_that_the_server_announced() -> None:
    session = publishing()
    session.send_message(VIDEO, bytes(2_400_000), stream_id=1)
    send_until(session, 2_499_999)
    assert session.received() == []
    session.send(ONE_BYTE)
    assert session.received() == [Message(ACKNOWLEDGEMENT, 0, 0, (2_500_000).to_bytes(4))]


@pytest.mark.parametrize("window", [0, 1, 4096])
def test_a_tiny_window_is_raised_to_the_minimum(window: int) -> None:
    session = publishing()
    send_until(session, 6000)
    session.send_message(WINDOW, window.to_bytes(4))
    (answer,) = session.received()
    acknowledged = int.from_bytes(answer.payload)
    send_until(session, acknowledged + 4095)
    assert session.received() == []
    session.send(ONE_BYTE)
    assert len(session.received()) == 1


def test_a_new_peer_bandwidth_is_answered_with_a_window_size() -> None:
    """Section 5.4.5."""
    session = connected()
    session.received()
    session.send_message(BANDWIDTH, (5000).to_bytes(4) + b"\2")
    session.send_message(BANDWIDTH, (5000).to_bytes(4) + b"\2")
    assert session.received() == [Message(WINDOW, 0, 0, (5000).to_bytes(4))]


@pytest.mark.parametrize("type_id", [0, ACKNOWLEDGEMENT, 7, 10, 16, 19, 99, 255])
def test_other_message_types_are_ignored(type_id: int) -> None:
    session = publishing()
    assert session.send_message(type_id, b"whatever") == []
    assert session.received() == []


@pytest.mark.parametrize(("type_id", "payload"), [(WINDOW, b"\0"), (BANDWIDTH, b""), (USER_CONTROL, b"")])
def test_a_malformed_control_message_is_an_error(type_id: int, payload: bytes) -> None:
    with pytest.raises(RtmpError):
        publishing().send_message(type_id, payload)


def test_the_bytes_before_publish_are_limited() -> None:
    """The client has not named a stream key yet, so useless traffic must end soon."""
    limits = RtmpLimits(max_bytes_before_publish=5000)
    session = connected(limits)
    send_until(session, 5000, type_id=ACKNOWLEDGEMENT)
    with pytest.raises(RtmpError, match="more than 5000 bytes arrived before `publish`"):
        session.send(ONE_BYTE)


@pytest.mark.parametrize("type_id", [1, 2, USER_CONTROL, 18, 99], ids=["chunk size", "abort", "ping", "data", "other"])
def test_the_messages_before_publish_are_limited(type_id: int) -> None:
    session = connected(RtmpLimits(max_messages_before_publish=20))
    body = PING_REQUEST if type_id == USER_CONTROL else (128).to_bytes(4)
    message = session.encoder.message(Message(type_id, 0, 0, body))
    with pytest.raises(RtmpError, match="more than 20 messages arrived before `publish`"):
        session.send(message + (bytes([0xC0 | message[0]]) + body) * 5_000)
    assert session.server.other_message_count < 150


def test_bytes_after_publish_in_the_same_read_do_not_count() -> None:
    session = connected(RtmpLimits(max_bytes_before_publish=5000))
    publish = session.encoder.message(Message(20, 0, 0, write_values("createStream", 2, None)))
    publish += session.encoder.message(Message(20, 1, 0, write_values("publish", 3, None, "key")))
    assert session.send(publish + session.encoder.message(Message(VIDEO, 1, 0, bytes(5000)))) != []


def test_short_messages_are_limited() -> None:
    session = publishing(RtmpLimits(max_short_messages=1000))
    session.send_message(AUDIO, b"", stream_id=1)
    with pytest.raises(RtmpError, match="more than 1000 messages arrived beyond one for every 4 bytes"):
        session.send(b"\xc5" * 3000)


def test_messages_of_four_bytes_on_average_are_not_limited() -> None:
    """The shortest messages of encoders are silent audio: six bytes of AAC and a header of at least one byte."""
    session = publishing(RtmpLimits(max_short_messages=1))
    session.send_message(AUDIO, b"\xaf\1\0", stream_id=1)
    assert len(session.send(b"\xc5\xaf\1\0" * 10_000)) == 10_000


def test_messages_that_are_no_media_are_counted() -> None:
    session = publishing()
    before = session.server.other_message_count
    session.send_message(AUDIO, b"\xaf\1\0", stream_id=1)
    session.send_message(18, b"")
    session.send(session.encoder.set_chunk_bytes(4096))
    assert session.server.other_message_count == before + 2


def test_unsent_answers_are_limited() -> None:
    session = publishing(RtmpLimits(max_output_bytes=10_000))
    with pytest.raises(RtmpError, match="more than 10000 bytes of answers wait to be sent"):
        session.send(session.encoder.message(Message(USER_CONTROL, 0, 0, PING_REQUEST)) * 1000)
    assert len(session.server.data_to_send()) < 10_100


def test_sent_answers_do_not_count() -> None:
    session = publishing(RtmpLimits(max_output_bytes=5000))
    for _ in range(1000):
        session.send_message(USER_CONTROL, PING_REQUEST)
        assert session.received()


def test_after_an_error_only_the_end_can_be_sent() -> None:
    session = publishing()
    with pytest.raises(RtmpError):
        session.send(b"\xc9")
    with pytest.raises(RtmpError, match="the connection has failed"):
        session.send_message(VIDEO, bytes(10), stream_id=1)
    session.server.end("The data is malformed.")
    assert session.received_status()["description"] == "The data is malformed."


def test_an_error_in_the_handshake_is_an_error_of_the_connection() -> None:
    server = RtmpConnection(LIMITS)
    with pytest.raises(RtmpError, match="not 22"):
        server.receive(b"\x16\x03\x01")
    server.end("This is an RTMP server.")
    assert server.data_to_send() == b""
