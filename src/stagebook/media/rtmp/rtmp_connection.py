"""An RTMP connection, seen from the server: bytes in, events out, and answers to send. Sans-I/O.

Knows no socket, no codec and no stream key's meaning. Its owner must bound how long the handshake and a silence last,
stop reading while answers wait to be sent, and close the connection after an error, a refusal or an end.
"""

from stagebook.media.rtmp import control_messages
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.chunks import DEFAULT_CHUNK_BYTES, ChunkReader
from stagebook.media.rtmp.handshake import ServerHandshake
from stagebook.media.rtmp.message import MEDIA_TYPES, Message, MessageType
from stagebook.media.rtmp.publish_state import SENT_CHUNK_BYTES, WINDOW_BYTES, Publish
from stagebook.media.rtmp.rtmp_events import RtmpEvent
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits

_CONTROL_CHUNK_STREAM = 2
_COMMAND_CHUNK_STREAM = 3
_LEAST_WINDOW_BYTES = 4096
"""A smaller window would have an acknowledgement sent for every packet."""
_SLICE_BYTES = 16 << 10
"""How much is read before the limits are looked at again."""

_COMMAND_TYPES = frozenset({MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3})


class RtmpServer:
    """One connection of an encoder. After an RtmpError only `end` and `data_to_send` may be called."""

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._handshake: ServerHandshake | None = ServerHandshake()
        self._reader = ChunkReader(limits)
        self._publish = Publish(limits, self._send)
        self._output = bytearray()
        self._sent_chunk_bytes = DEFAULT_CHUNK_BYTES
        self._received_bytes = self._acknowledged_bytes = self._messages = 0
        self._window_bytes = WINDOW_BYTES
        self._told_window_bytes = WINDOW_BYTES
        self._is_failed = False

    def receive(self, data: bytes) -> list[RtmpEvent]:
        """Take the peer's next bytes, any number of them; return what they mean.

        What an encoder sent before its publish was accepted is returned by the first call after that. Raises RtmpError,
        and nothing else whatever the bytes are.
        """
        if self._is_failed:
            raise RtmpError("the connection has failed")
        try:
            return self._receive(data)
        except RtmpError:
            self._is_failed = True
            raise

    def data_to_send(self) -> bytes:
        """Return what is to be sent to the peer, once."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def accept_publish(self) -> None:
        """Tell the encoder that it may publish. Raises RtmpError if it does not ask (any more)."""
        self._publish.accept()

    def refuse_publish(self, detail: str) -> None:
        """Tell the encoder why it may not publish: it shows `detail` to its user. Raises RtmpError if it does not ask
        (any more). Whatever it sends after that means nothing."""
        self._publish.refuse(detail)

    def end(self, detail: str) -> None:
        """Tell the encoder why its stream or its connection ends: it shows `detail` to its user. Never raises, after an
        RtmpError neither. Whatever the encoder sends after that means nothing."""
        self._publish.end(detail)

    def _receive(self, data: bytes) -> list[RtmpEvent]:
        if self._handshake is not None:
            answer, rest = self._handshake.receive(data)
            self._received_bytes += len(data) - len(rest or b"")
            self._output += answer
            if rest is None:
                return []
            self._handshake = None
            data = rest
        events = self._publish.take_held()
        for start in range(0, len(data), _SLICE_BYTES):
            self._read(data[start : start + _SLICE_BYTES], events)
        if self._received_bytes - self._acknowledged_bytes >= self._window_bytes:
            self._acknowledged_bytes = self._received_bytes
            self._send(control_messages.acknowledgement(self._received_bytes))
        return events

    def _read(self, data: bytes, events: list[RtmpEvent]) -> None:
        """Read a little, add what it means to `events`, and see that the limits are kept."""
        if self._publish.is_ended:
            return
        limits = self._limits
        self._received_bytes += len(data)
        messages = self._reader.receive(data)
        self._messages += len(messages)
        if self._messages > self._received_bytes // 4 + limits.max_short_messages:
            raise RtmpError(f"more than {limits.max_short_messages} messages came beyond one for every 4 bytes")
        for message in messages:
            events += self._take(message)
            if len(self._output) > limits.max_output_bytes:
                raise RtmpError(f"more than {limits.max_output_bytes} bytes of answers are asked for at once")
        if self._publish.is_to_come and self._received_bytes > limits.max_early_bytes:
            raise RtmpError(f"more than {limits.max_early_bytes} bytes came before `publish`")

    def _take(self, message: Message) -> list[RtmpEvent]:
        """Take one message. Of a type that means nothing here, or not to a server, it is passed over. So is what an
        encoder says of its stream (`onMetaData`), for the stream itself says it."""
        type_id = message.type_id
        if type_id in MEDIA_TYPES:
            return self._publish.take_media(message)
        if type_id in _COMMAND_TYPES:
            return self._publish.take_command(message)
        if type_id == MessageType.USER_CONTROL:
            asked = control_messages.read_ping(message.payload)
            if asked is not None:
                self._send(control_messages.ping_response(asked))
        elif type_id == MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE:
            self._window_bytes = max(control_messages.read_window(message.payload), _LEAST_WINDOW_BYTES)
        elif type_id == MessageType.SET_PEER_BANDWIDTH:
            self._tell_window(control_messages.read_window(message.payload))
        return []

    def _tell_window(self, size: int) -> None:
        """Answer a Set Peer Bandwidth that says something new (section 5.4.5). What little is sent fits any window."""
        if size != self._told_window_bytes:
            self._told_window_bytes = size
            self._send(control_messages.window_acknowledgement_size(size))

    def _send(self, message: Message) -> None:
        is_command = message.type_id in _COMMAND_TYPES
        self._output += write_message(
            message,
            chunk_stream_id=_COMMAND_CHUNK_STREAM if is_command else _CONTROL_CHUNK_STREAM,
            chunk_bytes=self._sent_chunk_bytes,
        )
        if message.type_id == MessageType.SET_CHUNK_SIZE:
            self._sent_chunk_bytes = SENT_CHUNK_BYTES
