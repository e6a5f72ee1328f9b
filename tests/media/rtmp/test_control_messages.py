"""Protocol control and user control messages: exact bytes, and wrong lengths."""

import pytest

from stagebook.media.rtmp import control_messages
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_error import RtmpError


@pytest.mark.parametrize(
    ("message", "type_id", "payload"),
    [
        (control_messages.set_chunk_size(4096), 1, "00001000"),
        (control_messages.acknowledgement(2**32 + 5), 3, "00000005"),
        (control_messages.stream_begin(1), 4, "0000 00000001"),
        (control_messages.ping_response(b"time"), 4, "0007" + b"time".hex()),
        (control_messages.window_acknowledgement_size(2_500_000), 5, "002625a0"),
        (control_messages.set_peer_bandwidth(2_500_000), 6, "002625a0 02"),
    ],
)
def test_a_control_message_is_on_message_stream_0(message: Message, type_id: int, payload: str) -> None:
    """RTMP 1.0 sections 5.4 and 7.1.7."""
    assert message == Message(type_id, 0, 0, bytes.fromhex(payload))


def test_a_window_size_and_a_bandwidth_are_read() -> None:
    assert control_messages.read_window_size(bytes.fromhex("002625a0")) == 2_500_000
    assert control_messages.read_window_size(bytes.fromhex("002625a0 01")) == 2_500_000


@pytest.mark.parametrize("payload", [b"", b"\0\0\1", b"\0\0\0\0\0\1"])
def test_a_window_size_of_another_length_is_an_error(payload: bytes) -> None:
    with pytest.raises(RtmpError, match="4 or 5 bytes"):
        control_messages.read_window_size(payload)


def test_a_ping_request_has_four_bytes_to_repeat() -> None:
    assert control_messages.read_ping_request(bytes.fromhex("0006") + b"time") == b"time"


@pytest.mark.parametrize("payload", ["0003 00000001 00000bb8", "0007 00000000", "0000 00000001", "001f"])
def test_other_user_control_events_are_not_ping_requests(payload: str) -> None:
    assert control_messages.read_ping_request(bytes.fromhex(payload)) is None


@pytest.mark.parametrize("payload", ["", "00", "0006", "0006 000000", "0006 0000000000"])
def test_a_user_control_message_of_a_wrong_length_is_an_error(payload: str) -> None:
    with pytest.raises(RtmpError, match="bytes"):
        control_messages.read_ping_request(bytes.fromhex(payload))
