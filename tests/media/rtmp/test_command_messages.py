"""Command messages: decoding, and the response to `connect`."""

import pytest

from stagebook.media.rtmp import command_messages
from stagebook.media.rtmp.amf0 import Amf0Value, write_values
from stagebook.media.rtmp.command_messages import CommandMessage
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

LIMITS = RtmpLimits()
AMF0, AMF3 = 20, 17


def connect(**properties: Amf0Value) -> CommandMessage:
    """The response to a `connect` with these properties."""
    request = CommandMessage(name="connect", transaction_id=1, stream_id=0, arguments=[{"app": "app", **properties}])
    return command_messages.read_command(command_messages.connect_result(request), LIMITS)


def test_a_command_is_a_name_a_transaction_id_and_arguments() -> None:
    """RTMP 1.0 section 7.2."""
    payload = write_values("publish", 5, None, "key", "live")
    assert command_messages.read_command(Message(AMF0, 1, 0, payload), LIMITS) == CommandMessage(
        name="publish", transaction_id=5, stream_id=1, arguments=[None, "key", "live"]
    )


def test_a_command_of_type_amf3_is_amf0_after_a_byte_0() -> None:
    payload = write_values("createStream", 2, None)
    expected = CommandMessage(name="createStream", transaction_id=2, stream_id=0, arguments=[None])
    assert command_messages.read_command(Message(AMF3, 0, 0, b"\0" + payload), LIMITS) == expected


@pytest.mark.parametrize("payload", [b"", b"\x03", write_values("createStream", 2)])
def test_a_command_of_type_amf3_without_that_byte_is_an_error(payload: bytes) -> None:
    with pytest.raises(RtmpError, match="must begin with a byte 0"):
        command_messages.read_command(Message(AMF3, 0, 0, payload), LIMITS)


@pytest.mark.parametrize("values", [(), ("connect",), (1, "connect"), ("connect", "1"), ("connect", True), (None, 1)])
def test_a_command_without_a_name_or_a_transaction_id_is_an_error(values: tuple[Amf0Value, ...]) -> None:
    with pytest.raises(RtmpError, match="a command message"):
        command_messages.read_command(Message(AMF0, 0, 0, write_values(*values)), LIMITS)


def test_a_string_is_limited_in_bytes() -> None:
    limits = RtmpLimits(max_name_bytes=4)
    assert command_messages.bounded_string("éé", name="it", limits=limits) == "éé"
    with pytest.raises(RtmpError, match="it has more than 4 bytes"):
        command_messages.bounded_string("ééa", name="it", limits=limits)
    with pytest.raises(RtmpError, match="it is not a string"):
        command_messages.bounded_string(4.0, name="it", limits=limits)


def test_connect_is_answered_with_success_in_amf0() -> None:
    """RTMP 1.0 section 7.2.1.1."""
    response = connect(objectEncoding=3)
    assert (response.name, response.transaction_id) == ("_result", 1)
    assert response.arguments[1] == {
        "level": "status",
        "code": "NetConnection.Connect.Success",
        "description": "Connection succeeded.",
        "objectEncoding": 0,
    }


@pytest.mark.parametrize(
    "properties",
    [{"fourCcList": ["hvc1", "av01"]}, {"videoFourCcInfoMap": {"*": 4}}, {"audioFourCcInfoMap": {}}, {"capsEx": 15}],
)
def test_an_enhanced_rtmp_client_receives_the_supported_codecs(properties: dict[str, Amf0Value]) -> None:
    """Enhanced RTMP v2, "Enhancing NetConnection connect Command"."""
    information = connect(**properties).arguments[1]
    assert isinstance(information, dict)
    assert information["fourCcList"] == ["avc1", "mp4a"]
    assert information["videoFourCcInfoMap"] == {"avc1": 4}
    assert information["audioFourCcInfoMap"] == {"mp4a": 1}
    assert information["capsEx"] == 0
