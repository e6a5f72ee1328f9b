"""RtmpServer: acknowledgements, pings and the rest of a connection's housekeeping, and how it fails."""

import pytest

from stagebook.media.rtmp.amf0 import write_values
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_connection import RtmpServer
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits
from tests.media.rtmp.session import HANDSHAKE, LIMITS, SERVER_HANDSHAKE_BYTES, Session, connected, publishing

ACKNOWLEDGEMENT, USER_CONTROL, WINDOW, BANDWIDTH, AUDIO, VIDEO = 3, 4, 5, 6, 8, 9
PING_REQUEST = bytes.fromhex("0006") + b"time"


def test_the_handshake_is_answered_and_what_follows_it_is_read() -> None:
    server = RtmpServer(LIMITS)
    assert server.receive(HANDSHAKE + b"\x03") == []
    assert len(server.data_to_send()) == SERVER_HANDSHAKE_BYTES
    assert server.data_to_send() == b""


def test_a_ping_is_answered_with_what_it_brought() -> None:
    session = Session()
    assert session.say(USER_CONTROL, PING_REQUEST) == []
    assert session.answers() == [Message(USER_CONTROL, 0, 0, bytes.fromhex("0007") + b"time")]


ONE_BYTE = b"\xc7"
"""An empty message like the last one of its chunk stream."""


def send_until(session: Session, sent_bytes: int, *, type_id: int = 8) -> None:
    """Send so many bytes in all, and not one more; ONE_BYTE is one more."""
    session.send(session.wire.set_chunk_bytes(10**6))
    kind = bytes([type_id]) + bytes.fromhex("01000000")
    missing = sent_bytes - session.sent_bytes - 24
    session.send(bytes.fromhex("06 000000") + missing.to_bytes(3) + kind + bytes(missing))
    session.send(bytes.fromhex("07 000000 000000") + kind)
    assert session.sent_bytes == sent_bytes


def test_received_bytes_are_acknowledged_each_time_a_window_is_full() -> None:
    """RTMP 1.0 section 5.4.3. The handshake counts, as a TCP connection's bytes do."""
    session = publishing()
    session.say(WINDOW, (10_000).to_bytes(4))
    for total in (10_000, 20_000):
        send_until(session, total - 1)
        assert session.answers() == []
        session.send(ONE_BYTE)
        assert session.answers() == [Message(ACKNOWLEDGEMENT, 0, 0, total.to_bytes(4))]


def test_without_a_word_of_the_encoder_the_window_is_the_one_that_it_was_told() -> None:
    session = publishing()
    session.say(VIDEO, bytes(2_400_000), stream_id=1)
    send_until(session, 2_499_999)
    assert session.answers() == []
    session.send(ONE_BYTE)
    assert session.answers() == [Message(ACKNOWLEDGEMENT, 0, 0, (2_500_000).to_bytes(4))]


@pytest.mark.parametrize("window", [0, 1, 4096])
def test_a_window_that_wants_an_answer_to_every_packet_is_not_obeyed(window: int) -> None:
    session = publishing()
    send_until(session, 6000)
    session.say(WINDOW, window.to_bytes(4))
    (answer,) = session.answers()
    acknowledged = int.from_bytes(answer.payload)
    send_until(session, acknowledged + 4095)
    assert session.answers() == []
    session.send(ONE_BYTE)
    assert len(session.answers()) == 1


def test_a_new_bandwidth_is_answered_with_the_window_that_it_is() -> None:
    """Section 5.4.5."""
    session = connected()
    session.answers()
    session.say(BANDWIDTH, (5000).to_bytes(4) + b"\2")
    session.say(BANDWIDTH, (5000).to_bytes(4) + b"\2")
    assert session.answers() == [Message(WINDOW, 0, 0, (5000).to_bytes(4))]


@pytest.mark.parametrize("type_id", [0, ACKNOWLEDGEMENT, 7, 10, 16, 19, 99, 255])
def test_messages_that_mean_nothing_here_are_passed_over(type_id: int) -> None:
    session = publishing()
    assert session.say(type_id, b"whatever") == []
    assert session.answers() == []


@pytest.mark.parametrize(("type_id", "payload"), [(WINDOW, b"\0"), (BANDWIDTH, b""), (USER_CONTROL, b"")])
def test_a_broken_control_message_is_an_error(type_id: int, payload: bytes) -> None:
    with pytest.raises(RtmpError):
        publishing().say(type_id, payload)


def test_what_comes_before_publish_is_bounded() -> None:
    """Nobody has shown a key yet: what costs time but means nothing must end soon."""
    limits = RtmpLimits(max_early_bytes=5000)
    session = connected(limits)
    send_until(session, 5000, type_id=ACKNOWLEDGEMENT)
    with pytest.raises(RtmpError, match="more than 5000 bytes came before `publish`"):
        session.send(ONE_BYTE)


def test_what_comes_after_publish_in_the_same_bytes_is_not_early() -> None:
    session = connected(RtmpLimits(max_early_bytes=5000))
    publish = session.wire.message(Message(20, 0, 0, write_values("createStream", 2, None)))
    publish += session.wire.message(Message(20, 1, 0, write_values("publish", 3, None, "key")))
    assert session.send(publish + session.wire.message(Message(VIDEO, 1, 0, bytes(5000)))) != []


def test_short_messages_are_bounded() -> None:
    session = publishing(RtmpLimits(max_short_messages=1000))
    session.say(AUDIO, b"", stream_id=1)
    with pytest.raises(RtmpError, match="more than 1000 messages came beyond one for every 4 bytes"):
        session.send(b"\xc5" * 3000)


def test_messages_of_four_bytes_on_the_average_may_go_on() -> None:
    """The shortest that an encoder sends is silence: six bytes of AAC, and at least one of header."""
    session = publishing(RtmpLimits(max_short_messages=1))
    session.say(AUDIO, b"\xaf\1\0", stream_id=1)
    assert len(session.send(b"\xc5\xaf\1\0" * 10_000)) == 10_000


def test_answers_that_nobody_takes_are_bounded() -> None:
    session = publishing(RtmpLimits(max_output_bytes=10_000))
    with pytest.raises(RtmpError, match="more than 10000 bytes of answers"):
        session.send(session.wire.message(Message(USER_CONTROL, 0, 0, PING_REQUEST)) * 1000)
    assert len(session.server.data_to_send()) < 10_100


def test_answers_that_are_taken_are_not_counted_any_more() -> None:
    session = publishing(RtmpLimits(max_output_bytes=5000))
    for _ in range(1000):
        session.say(USER_CONTROL, PING_REQUEST)
        assert session.answers()


def test_after_an_error_nothing_is_read_but_the_encoder_can_be_told() -> None:
    session = publishing()
    with pytest.raises(RtmpError):
        session.send(b"\xc9")
    with pytest.raises(RtmpError, match="the connection has failed"):
        session.say(VIDEO, bytes(10), stream_id=1)
    session.server.end("What you sent is broken.")
    assert session.status()["description"] == "What you sent is broken."


def test_an_error_in_the_handshake_is_an_error_of_the_connection() -> None:
    server = RtmpServer(LIMITS)
    with pytest.raises(RtmpError, match="not 22"):
        server.receive(b"\x16\x03\x01")
    server.end("This port speaks RTMP.")
    assert server.data_to_send() == b""
