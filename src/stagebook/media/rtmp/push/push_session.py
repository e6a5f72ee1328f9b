"""The publisher's side of one RTMP connection, without I/O (sections 5.2 and 7.2).

    publisher                                   server
      | -- C0, C1 ------------------------------> |
      | <- S0, S1, S2 --------------------------- |
      | -- C2, connect --------------------------> |
      | <- _result ------------------------------ |
      | -- releaseStream, FCPublish, createStream -> |
      | <- _result ------------------------------ |   of createStream: the id of the message stream
      | -- publish ------------------------------> |
      | <- onStatus NetStream.Publish.Start ------ |
      | == audio and video =====================> |
      | -- FCUnpublish, deleteStream ------------> |

The owner sends what `data_to_send` returns, after each call of another method.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from stagebook.media.rtmp import control_messages
from stagebook.media.rtmp.amf0 import Amf0Value, write_values
from stagebook.media.rtmp.chunk_reader import DEFAULT_CHUNK_BYTES, ChunkReader
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.command_messages import CommandMessage, read_command
from stagebook.media.rtmp.handshake import PACKET_BYTES, VERSION
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.push.push_address import PushAddress
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

CHUNK_BYTES: Final = 64 << 10
"""The size of the chunks that are sent: most frames are one chunk."""
STREAM_EXISTS_CODE: Final = "NetStream.Publish.BadName"
"""What servers answer if somebody publishes a stream of that name already (section 7.2.2.6)."""

_CHUNK_STREAMS = {MessageType.COMMAND_AMF0: 3, MessageType.AUDIO: 4, MessageType.DATA_AMF0: 5, MessageType.VIDEO: 6}
_CONTROL_CHUNK_STREAM = 2
_CONNECT_ID = 1.0
_CREATE_STREAM_ID = 4.0
_HANDSHAKE_BYTES = 1 + 2 * PACKET_BYTES


class PushRefusedError(Exception):
    """The server refused or ended the stream. `code` is that of its answer, for instance NetStream.Publish.BadName."""

    def __init__(self, *, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Phase(Enum):
    HANDSHAKE = "handshake"
    CONNECTING = "connecting"
    CREATING = "creating"
    REQUESTED = "requested"
    PUBLISHING = "publishing"
    ENDED = "ended"


class PushSession:
    """A connection that publishes one stream."""

    def __init__(self, address: PushAddress, limits: RtmpLimits) -> None:
        self._address = address
        self._limits = limits
        self._reader = ChunkReader(limits)
        self._phase = _Phase.HANDSHAKE
        self._handshake = bytearray()
        self._chunk_bytes = DEFAULT_CHUNK_BYTES
        self._stream_id = 0
        # C0 and C1: version, time 0, the zero field, and 1528 arbitrary bytes.
        self._output = bytearray(bytes([VERSION]) + bytes(PACKET_BYTES))

    @property
    def is_publishing(self) -> bool:
        """Whether the server has accepted the stream, so that media may be sent."""
        return self._phase is _Phase.PUBLISHING

    def data_to_send(self) -> bytes:
        """Return the bytes to send and remove them."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Process received bytes. Raises PushRefusedError and RtmpError; the session must not be used after one."""
        if self._phase is _Phase.HANDSHAKE:
            self._handshake += data
            if self._handshake and self._handshake[0] != VERSION:
                raise RtmpError("the server does not speak RTMP version 3")
            if len(self._handshake) < _HANDSHAKE_BYTES:
                return
            data = bytes(self._handshake[_HANDSHAKE_BYTES:])
            self._connect()
        for message in self._reader.receive(data):
            self._handle(message)

    def send_metadata(self, properties: Mapping[str, Amf0Value]) -> None:
        """Send `onMetaData`, before the media."""
        payload = write_values("@setDataFrame", "onMetaData", dict(properties))
        self._send(Message(MessageType.DATA_AMF0, self._stream_id, 0, payload))

    def send_audio(self, body: bytes, *, timestamp_ms: int) -> None:
        """Send an audio message (`flv_bodies`)."""
        self._send(Message(MessageType.AUDIO, self._stream_id, timestamp_ms % 2**32, body))

    def send_video(self, body: bytes, *, timestamp_ms: int) -> None:
        """Send a video message (`flv_bodies`)."""
        self._send(Message(MessageType.VIDEO, self._stream_id, timestamp_ms % 2**32, body))

    def end(self) -> None:
        """End the stream. Has no effect before it is accepted."""
        if self.is_publishing:
            self._command("FCUnpublish", 6, None, self._address.stream_name)
            self._command("deleteStream", 7, None, float(self._stream_id))
            self._phase = _Phase.ENDED

    def _connect(self) -> None:
        self._output += bytes(self._handshake[1 : 1 + PACKET_BYTES])  # C2 is a copy of S1.
        self._handshake.clear()
        self._phase = _Phase.CONNECTING
        properties: dict[str, Amf0Value] = {
            "app": self._address.app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; Stagebook)",
            "tcUrl": self._address.tc_url,
        }
        self._command("connect", _CONNECT_ID, properties)

    def _handle(self, message: Message) -> None:
        if message.type_id == MessageType.USER_CONTROL:
            timestamp = control_messages.read_ping_request(message.payload)
            if timestamp is not None:
                self._send(control_messages.ping_response(timestamp))
        elif message.type_id in (MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3):
            try:
                command = read_command(message, self._limits)
            except RtmpError:
                # ffmpeg sends `onFCPublish` without a transaction id.
                return
            self._handle_command(command)

    def _handle_command(self, command: CommandMessage) -> None:
        if self._phase is _Phase.ENDED:
            return
        match command.name:
            case "_result" if command.transaction_id == _CONNECT_ID and self._phase is _Phase.CONNECTING:
                self._create_stream()
            case "_result" if command.transaction_id == _CREATE_STREAM_ID and self._phase is _Phase.CREATING:
                self._publish(command)
            case "_error" if command.transaction_id in (_CONNECT_ID, _CREATE_STREAM_ID):
                raise PushRefusedError(code=_code(command))
            case "onStatus":
                self._handle_status(command)
            case "close":
                raise PushRefusedError(code="close")

    def _handle_status(self, command: CommandMessage) -> None:
        code = _code(command)
        if code == "NetStream.Publish.Start" and self._phase is _Phase.REQUESTED:
            self._phase = _Phase.PUBLISHING
        elif _information(command).get("level") == "error" or code == "NetStream.Unpublish.Success":
            raise PushRefusedError(code=code)

    def _create_stream(self) -> None:
        self._phase = _Phase.CREATING
        name = self._address.stream_name
        self._send(control_messages.set_chunk_size(CHUNK_BYTES))
        self._chunk_bytes = CHUNK_BYTES
        self._command("releaseStream", 2, None, name)
        self._command("FCPublish", 3, None, name)
        self._command("createStream", _CREATE_STREAM_ID, None)

    def _publish(self, created: CommandMessage) -> None:
        stream_id = created.arguments[1] if len(created.arguments) > 1 else None
        if not isinstance(stream_id, float) or not 0 <= stream_id < 2**32 or stream_id != int(stream_id):
            raise RtmpError("the answer to createStream has no message stream id")
        self._stream_id = int(stream_id)
        self._phase = _Phase.REQUESTED
        self._command("publish", 5, None, self._address.stream_name, "live", stream_id=self._stream_id)

    def _command(self, name: str, transaction_id: float, *arguments: Amf0Value, stream_id: int = 0) -> None:
        payload = write_values(name, transaction_id, *arguments)
        self._send(Message(MessageType.COMMAND_AMF0, stream_id, 0, payload))

    def _send(self, message: Message) -> None:
        chunk_stream_id = _CHUNK_STREAMS.get(MessageType(message.type_id), _CONTROL_CHUNK_STREAM)
        self._output += write_message(message, chunk_stream_id=chunk_stream_id, chunk_bytes=self._chunk_bytes)


def _information(command: CommandMessage) -> Mapping[str, Amf0Value]:
    """The information object of an answer; empty without one."""
    found = command.arguments[1] if len(command.arguments) > 1 else None
    return found if isinstance(found, Mapping) else {}


def _code(command: CommandMessage) -> str:
    code = _information(command).get("code")
    return code[:128] if isinstance(code, str) else command.name
