"""Command messages (RTMP 1.0 section 7.2): read, and the answers to them written. Keeps no state."""

from collections.abc import Mapping, Sequence

import msgspec

from stagebook.media.rtmp.amf0 import UNDEFINED, Amf0Value, read_values, write_values
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits

_FORWARDS = 0x04
_DECODES = 0x01
_ENHANCED = ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command. `arguments` are the values after name and transaction id; the first is the command object or null."""

    name: str
    transaction_id: float
    """0 where no answer is wanted."""
    stream_id: int
    """The message stream on which it came."""
    arguments: Sequence[Amf0Value]

    def text(self, index: int, *, what: str, limits: RtmpLimits) -> str:
        """The argument at `index`, which must be a text of bounded length. Raises RtmpError."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return bounded_text(value, what=what, limits=limits)


def bounded_text(value: Amf0Value, *, what: str, limits: RtmpLimits) -> str:
    """`value`, if it is a text of at most `max_name_bytes`. Raises RtmpError."""
    if not isinstance(value, str):
        raise RtmpError(f"{what} is not a text")
    if len(value.encode()) > limits.max_name_bytes:
        raise RtmpError(f"{what} has more than {limits.max_name_bytes} bytes")
    return value


def _amf0_payload(message: Message) -> bytes:
    """The AMF0 values of a command. Those of the AMF3 type stand after a byte that says that they are AMF0 too
    (Enhanced RTMP v2, "Important AMF3-encoded Historical Specification Clarification"). Raises RtmpError."""
    if message.type_id != MessageType.COMMAND_AMF3:
        return message.payload
    if message.payload[:1] != b"\0":
        raise RtmpError("a message of an AMF3 type begins with a byte 0")
    return message.payload[1:]


def read_command(message: Message, limits: RtmpLimits) -> Command:
    """Read a command message in AMF0 or of the AMF3 type. Raises RtmpError."""
    values = read_values(_amf0_payload(message), limits)
    if len(values) < 2:
        raise RtmpError("a command has a name and a transaction id")
    name, transaction_id, *arguments = values
    if not isinstance(name, str) or not isinstance(transaction_id, float):
        raise RtmpError("a command begins with its name, a text, and its transaction id, a number")
    return Command(name=name, transaction_id=transaction_id, stream_id=message.stream_id, arguments=arguments)


def result(command: Command, *values: Amf0Value) -> Message:
    """`_result`: the command is done."""
    return _written(command.stream_id, "_result", command.transaction_id, *values)


def error(command: Command, description: str) -> Message:
    """`_error`: the command is refused."""
    information = _information("error", "NetConnection.Call.Failed", description)
    return _written(command.stream_id, "_error", command.transaction_id, None, information)


def done(command: Command) -> Message:
    """The `_result` of a command that has nothing to tell."""
    return result(command, None, UNDEFINED)


def connected(command: Command) -> Message:
    """The `_result` of `connect` (section 7.2.1.1). Values are AMF0 whatever was asked for.

    A client that speaks Enhanced RTMP is told which codecs are taken in: H.264, which is passed on, and AAC, which is
    decoded (Enhanced RTMP v2, "Enhancing NetConnection connect Command"; of `capsEx`, nothing).
    """
    properties: dict[str, Amf0Value] = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}
    information = _information("status", "NetConnection.Connect.Success", "Connection succeeded.")
    information["objectEncoding"] = 0
    asked = command.arguments[0] if command.arguments else None
    if isinstance(asked, Mapping) and any(name in asked for name in _ENHANCED):
        information |= {
            "fourCcList": ["avc1", "mp4a"],
            "videoFourCcInfoMap": {"avc1": _FORWARDS},
            "audioFourCcInfoMap": {"mp4a": _DECODES},
            "capsEx": 0,
        }
    return result(command, properties, information)


def status(stream_id: int, level: str, code: str, description: str) -> Message:
    """`onStatus`: something happened to a message stream (section 7.2.2). `level` is `status` or `error`."""
    return _written(stream_id, "onStatus", 0, None, _information(level, code, description))


def fc_status(name: str, code: str, description: str) -> Message:
    """`onFCPublish` or `onFCUnpublish`, as Flash Media Server tells them on the connection's own stream."""
    return _written(0, name, 0, None, {"code": code, "description": description})


def _information(level: str, code: str, description: str) -> dict[str, Amf0Value]:
    return {"level": level, "code": code, "description": description}


def _written(stream_id: int, *values: Amf0Value) -> Message:
    return Message(MessageType.COMMAND_AMF0, stream_id, 0, write_values(*values))
