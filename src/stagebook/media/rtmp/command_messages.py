"""Command messages (sections 7.1.1 and 7.2): decoding a client's commands and encoding the server's responses.

A command is a sequence of AMF0 values: the command name, a transaction id, the command object or null, and further
arguments. A response is itself a command: `_result` or `_error` with the transaction id of the request, or `onStatus`
with transaction id 0. Transaction id 0 in a request means that no response is expected.
"""

from collections.abc import Mapping, Sequence

import msgspec

from stagebook.media.rtmp.amf0 import UNDEFINED, Amf0Value, read_values, write_values
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

# Enhanced RTMP v2: the properties of `connect` that show that a client supports it, and FourCcInfoMask.
_ENHANCED_RTMP_PROPERTIES = ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx")
_CAN_DECODE = 0x01
_CAN_FORWARD = 0x04


class CommandMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded command. `arguments` are the values after the transaction id, the command object first."""

    name: str
    transaction_id: float
    """0 if the sender expects no response."""
    stream_id: int
    """The message stream on which the command was sent."""
    arguments: Sequence[Amf0Value]

    def string_argument(self, index: int, *, name: str, limits: RtmpLimits) -> str:
        """The argument at `index`, which must be a string. `name` describes it in the error, as in `bounded_string`."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return bounded_string(value, name=name, limits=limits)


def bounded_string(value: Amf0Value, *, name: str, limits: RtmpLimits) -> str:
    """Return `value` if it is a string of at most `max_name_bytes`. Raises RtmpError otherwise."""
    if not isinstance(value, str):
        raise RtmpError(f"{name} is not a string")
    if len(value.encode()) > limits.max_name_bytes:
        raise RtmpError(f"{name} has more than {limits.max_name_bytes} bytes")
    return value


def read_command(message: Message, limits: RtmpLimits) -> CommandMessage:
    """Decode a message of type COMMAND_AMF0 or COMMAND_AMF3.

    Raises RtmpError for malformed AMF0, for values above the limits, and without a name and a transaction id.
    """
    values = read_values(_amf0_payload(message), limits)
    if len(values) < 2:
        raise RtmpError("a command message lacks a name or a transaction id")
    name, transaction_id, *arguments = values
    if not isinstance(name, str) or not isinstance(transaction_id, float):
        raise RtmpError("a command message must begin with a string, its name, and a number, its transaction id")
    return CommandMessage(name=name, transaction_id=transaction_id, stream_id=message.stream_id, arguments=arguments)


def result(command: CommandMessage, *values: Amf0Value) -> Message:
    """`_result`: the response to a command that succeeded (section 7.2.1.2)."""
    return _encode(command.stream_id, "_result", command.transaction_id, *values)


def empty_result(command: CommandMessage) -> Message:
    """The `_result` of a command that returns nothing."""
    return result(command, None, UNDEFINED)


def error(command: CommandMessage, description: str) -> Message:
    """`_error`: the response to a command that failed (section 7.2.1.2)."""
    information = _information("error", "NetConnection.Call.Failed", description)
    return _encode(command.stream_id, "_error", command.transaction_id, None, information)


def connect_result(command: CommandMessage) -> Message:
    """The `_result` of `connect` (section 7.2.1.1). `objectEncoding` is 0, AMF0, whatever the client requested.

    A client that supports Enhanced RTMP also receives the supported codecs: H.264, which is forwarded, and AAC, which
    is decoded. The server supports none of the extensions in `capsEx` (Enhanced RTMP v2, "Enhancing NetConnection
    connect Command").
    """
    properties: dict[str, Amf0Value] = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}
    information = _information("status", "NetConnection.Connect.Success", "Connection succeeded.")
    information["objectEncoding"] = 0
    command_object = command.arguments[0] if command.arguments else None
    if isinstance(command_object, Mapping) and any(name in command_object for name in _ENHANCED_RTMP_PROPERTIES):
        information |= {
            "fourCcList": ["avc1", "mp4a"],
            "videoFourCcInfoMap": {"avc1": _CAN_FORWARD},
            "audioFourCcInfoMap": {"mp4a": _CAN_DECODE},
            "capsEx": 0,
        }
    return result(command, properties, information)


def on_status(stream_id: int, level: str, code: str, description: str) -> Message:
    """`onStatus`: a change of a message stream's state (section 7.2.2).

    `level` is `status` or `error`; ffmpeg ends its stream on `error`, whatever the code. The transaction id is 0, and
    the command object is null, because it is no response.
    """
    return _encode(stream_id, "onStatus", 0, None, _information(level, code, description))


def on_fc_status(name: str, code: str, description: str) -> Message:
    """`onFCPublish` or `onFCUnpublish`, on message stream 0 as Flash Media Server sends them (not in RTMP 1.0)."""
    return _encode(0, name, 0, None, {"code": code, "description": description})


def _amf0_payload(message: Message) -> bytes:
    """The AMF0 values of a command message. Raises RtmpError.

    The values of a COMMAND_AMF3 message are AMF0 too, after a byte 0 that says so (Enhanced RTMP v2, "Important
    AMF3-encoded Historical Specification Clarification").
    """
    if message.type_id != MessageType.COMMAND_AMF3:
        return bytes(message.payload)
    if message.payload[:1] != b"\0":
        raise RtmpError("a command message of type AMF3 must begin with a byte 0")
    return bytes(message.payload[1:])


def _information(level: str, code: str, description: str) -> dict[str, Amf0Value]:
    return {"level": level, "code": code, "description": description}


def _encode(stream_id: int, *values: Amf0Value) -> Message:
    return Message(MessageType.COMMAND_AMF0, stream_id, 0, write_values(*values))
