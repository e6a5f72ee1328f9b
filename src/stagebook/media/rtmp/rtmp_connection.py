"""The server's side of one RTMP connection, without I/O: received bytes in, events and bytes to send out.

    bytes -> ServerHandshake -> ChunkReader -> PublishState -> events
    bytes <- write_message <------------------ PublishState

The owner of a connection reads the socket, passes the bytes to `receive`, handles the events, and sends what
`data_to_send` returns. It must limit the duration of the handshake and of silence, must not read from the socket while
data waits to be sent, and must close the socket after an RtmpError, a refusal or an end.
"""

from stagebook.media.rtmp import control_messages
from stagebook.media.rtmp.chunk_reader import DEFAULT_CHUNK_BYTES, ChunkReader
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.handshake import ServerHandshake
from stagebook.media.rtmp.message import MEDIA_TYPES, Message, MessageType
from stagebook.media.rtmp.publish_state import SEND_CHUNK_BYTES, WINDOW_BYTES, PublishState
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import RtmpEvent
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

_CONTROL_CHUNK_STREAM = 2
"""Required for protocol control messages (section 5.4)."""
_COMMAND_CHUNK_STREAM = 3
_MIN_WINDOW_BYTES = 4096
"""A smaller acknowledgement window is treated as this one, or every packet would need an acknowledgement."""
_SLICE_BYTES = 16 << 10
_SLICE_BYTES_BEFORE_PUBLISH = 512
"""How much is processed between two checks of the limits."""
_BYTES_PER_MESSAGE = 4
"""See RtmpLimits.max_short_messages."""

_COMMAND_TYPES = frozenset({MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3})


class RtmpConnection:
    """One client's connection. After an RtmpError only `end` and `data_to_send` may be called."""

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._handshake: ServerHandshake | None = ServerHandshake()
        self._reader = ChunkReader(limits)
        self._publish = PublishState(limits, self._send)
        self._output = bytearray()
        self._send_chunk_bytes = DEFAULT_CHUNK_BYTES
        self._received_bytes = self._acknowledged_bytes = 0
        self._returned_count = self._media_count = 0
        """The messages that the reader has returned, and those of them that are media."""
        self._window_bytes = WINDOW_BYTES
        self._sent_window_bytes = WINDOW_BYTES
        self._has_failed = False

    @property
    def other_message_count(self) -> int:
        """The messages so far that are no media: commands, data, control messages and unknown ones."""
        return self._message_count - self._media_count

    @property
    def _message_count(self) -> int:
        return self._returned_count + self._reader.applied_count

    def receive(self, data: bytes) -> list[RtmpEvent]:
        """Process received bytes and return the events.

        Media that arrived before the publish was accepted is returned by the first call after the acceptance, for which
        `data` may be empty. Raises RtmpError, and no other exception whatever the bytes are.
        """
        if self._has_failed:
            raise RtmpError("the connection has failed")
        try:
            return self._receive(data)
        except RtmpError:
            self._has_failed = True
            raise

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the client and remove them from the output buffer.

        The owner has to call it after each of the other methods, and must not let unsent bytes pile up: at most
        `max_output_bytes` may wait here.
        """
        data = bytes(self._output)
        self._output.clear()
        return data

    def accept_publish(self) -> None:
        """Accept the publish request. Raises RtmpError if none is pending, for example because the client ended it."""
        self._publish.accept()

    def refuse_publish(self, detail: str) -> None:
        """Refuse the publish request; encoders show `detail` to their users. Further messages are ignored.

        Raises RtmpError if no request is pending.
        """
        self._publish.refuse(detail)

    def end(self, detail: str) -> None:
        """End the stream or the connection; encoders show `detail` to their users. Further messages are ignored.

        Never raises, and may be called after an RtmpError.
        """
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
        events = self._publish.take_pending()
        # In slices, so that the limits hold in one large read too: without them a client could have thousands of
        # messages handled, and answers produced, before the first check.
        start = 0
        while start < len(data):
            end = start + (_SLICE_BYTES_BEFORE_PUBLISH if self._publish.is_before_publish else _SLICE_BYTES)
            self._receive_slice(data[start:end], events)
            start = end
        # A client may stop sending while a whole window is unacknowledged (section 5.4.3).
        if self._received_bytes - self._acknowledged_bytes >= self._window_bytes:
            self._acknowledged_bytes = self._received_bytes
            self._send(control_messages.acknowledgement(self._received_bytes))
        return events

    def _receive_slice(self, data: bytes, events: list[RtmpEvent]) -> None:
        """Process a slice of the received bytes, append its events to `events`, and check the limits."""
        if self._publish.is_ended:
            return
        limits = self._limits
        self._received_bytes += len(data)
        messages = self._reader.receive(data)
        self._returned_count += len(messages)
        if self._message_count > self._received_bytes // _BYTES_PER_MESSAGE + limits.max_short_messages:
            most, size = limits.max_short_messages, _BYTES_PER_MESSAGE
            raise RtmpError(f"more than {most} messages arrived beyond one for every {size} bytes")
        for message in messages:
            events += self._handle(message)
            if len(self._output) > limits.max_output_bytes:
                raise RtmpError(f"more than {limits.max_output_bytes} bytes of answers wait to be sent")
        if self._publish.is_before_publish:
            if self._received_bytes > limits.max_bytes_before_publish:
                raise RtmpError(f"more than {limits.max_bytes_before_publish} bytes arrived before `publish`")
            if self._message_count > limits.max_messages_before_publish:
                raise RtmpError(f"more than {limits.max_messages_before_publish} messages arrived before `publish`")

    def _handle(self, message: Message) -> list[RtmpEvent]:
        """Handle one message. Data messages (section 7.1.2) and unknown types are ignored."""
        type_id = message.type_id
        if type_id in MEDIA_TYPES:
            self._media_count += 1
            return self._publish.handle_media(message)
        if type_id in _COMMAND_TYPES:
            return self._publish.handle_command(message)
        if type_id == MessageType.USER_CONTROL:
            timestamp = control_messages.read_ping_request(message.payload)
            if timestamp is not None:
                self._send(control_messages.ping_response(timestamp))
        elif type_id == MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE:
            self._window_bytes = max(control_messages.read_window_size(message.payload), _MIN_WINDOW_BYTES)
        elif type_id == MessageType.SET_PEER_BANDWIDTH:
            self._on_set_peer_bandwidth(control_messages.read_window_size(message.payload))
        return []

    def _on_set_peer_bandwidth(self, size_bytes: int) -> None:
        """Answer with a Window Acknowledgement Size if the size has changed (section 5.4.5).

        The size does not limit the output: the server sends less than any window.
        """
        if size_bytes != self._sent_window_bytes:
            self._sent_window_bytes = size_bytes
            self._send(control_messages.window_acknowledgement_size(size_bytes))

    def _send(self, message: Message) -> None:
        is_command = message.type_id in _COMMAND_TYPES
        self._output += write_message(
            message,
            chunk_stream_id=_COMMAND_CHUNK_STREAM if is_command else _CONTROL_CHUNK_STREAM,
            chunk_bytes=self._send_chunk_bytes,
        )
        if message.type_id == MessageType.SET_CHUNK_SIZE:
            self._send_chunk_bytes = SEND_CHUNK_BYTES
