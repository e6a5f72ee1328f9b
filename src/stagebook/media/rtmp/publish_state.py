"""The state machine of one publishing client: its commands (section 7.2), and when it may send media.

    UNCONNECTED --connect--> CONNECTED --publish--> REQUESTED --accept--> PUBLISHING
                                                       |                      |
                                                       +----------------------+
                                                       |  refuse, end, FCUnpublish, deleteStream, closeStream
                                                       v
                                                     ENDED

A connection publishes once: a second `publish` is an error, and so is media before `publish`. Some encoders send media
without waiting for the answer to `publish`; it is kept until the publish is accepted. Whatever arrives in ENDED is
ignored.

Encoders also send commands that are not in the specification. They come from Flash Media Server, and librtmp waits for
their answers: releaseStream, FCPublish, FCUnpublish, closeStream, getStreamLength and _checkbw. Haivision's Makito
sends `publish` only after `onFCPublish`, so FCPublish is answered at once, before anything is known about the key.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from stagebook.media.rtmp import command_messages, control_messages
from stagebook.media.rtmp.command_messages import CommandMessage
from stagebook.media.rtmp.media_messages import MediaReader
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.publish_address import split_address
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import PublishReceived, RtmpEvent, Unpublished
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

WINDOW_BYTES = 2_500_000
"""The acknowledgement window of both directions, unless the client sets another one."""
SEND_CHUNK_BYTES = 4096
"""The size of the server's chunks after `connect`."""

_PENDING_MESSAGE_OVERHEAD_BYTES = 128
"""What a pending message costs besides its payload, so that empty messages are bounded too."""
_RESPONSES = frozenset({"_result", "_error", "onStatus"})


class _State(Enum):
    UNCONNECTED = "unconnected"
    CONNECTED = "connected"
    REQUESTED = "requested"
    PUBLISHING = "publishing"
    ENDED = "ended"


class PublishState:
    """Handles the commands and media of one connection. Returns events, and passes responses to `send`."""

    def __init__(self, limits: RtmpLimits, send: Callable[[Message], None]) -> None:
        self._limits = limits
        self._send = send
        self._state = _State.UNCONNECTED
        self._app = ""
        self._command_count = 0
        self._stream_ids: set[float] = set()
        """The message streams that exist. They are floats because AMF0 numbers are."""
        self._last_stream_id = 0
        self._publish_stream_id = 0
        self._media = MediaReader(limits)
        self._pending: list[Message] = []
        """Media that arrived in REQUESTED."""
        self._pending_bytes = 0

    @property
    def is_before_publish(self) -> bool:
        """Whether the client has not sent `publish` yet.

        Until then the client is unauthenticated, and the owner applies the limits for such clients.
        """
        return self._state in {_State.UNCONNECTED, _State.CONNECTED}

    @property
    def is_ended(self) -> bool:
        """Whether all further messages are ignored."""
        return self._state is _State.ENDED

    def accept(self) -> None:
        """Accept the pending publish request. Raises RtmpError if there is none.

        The answers are Stream Begin and `onStatus` with NetStream.Publish.Start (section 7.2.2.6). Encoders that wait
        send media only after the latter.
        """
        self._require_request()
        self._state = _State.PUBLISHING
        self._send(control_messages.stream_begin(self._publish_stream_id))
        self._send_status("status", "NetStream.Publish.Start", "Publishing.")

    def refuse(self, detail: str) -> None:
        """Refuse the pending publish request; the client receives `detail`. Raises RtmpError if there is none.

        ffmpeg and GStreamer show `detail`. OBS asks its user to check the stream key, whatever it says.
        """
        self._require_request()
        self._end()
        self._send_status("error", "NetStream.Publish.Denied", detail)

    def end(self, detail: str) -> None:
        """End the stream; the client receives `detail`. Before `connect` and in ENDED, nothing is sent.

        A client that has not sent `connect` is no RTMP client, or does not read yet: it would not understand a command.
        """
        if self._state not in {_State.UNCONNECTED, _State.ENDED}:
            self._send_status("error", "NetStream.Failed", detail)
        self._end()

    def take_pending(self) -> list[RtmpEvent]:
        """The events of the media that arrived before the acceptance, in the order of arrival. Raises RtmpError.

        Later calls return nothing. The media is kept as messages and not as events, so that what a refused client has
        sent is never parsed.
        """
        if self._state is not _State.PUBLISHING or not self._pending:
            return []
        pending, self._pending = self._pending, []
        return [event for message in pending for event in self._read_media(message)]

    def handle_media(self, message: Message) -> list[RtmpEvent]:
        """Handle an audio, video or aggregate message.

        Raises RtmpError for media before `publish`, more than `max_pending_media_bytes` before its acceptance, and
        media on another message stream.
        """
        if self._state is _State.PUBLISHING:
            return self._read_media(message)
        if self._state is _State.REQUESTED:
            self._pending_bytes += len(message.payload) + _PENDING_MESSAGE_OVERHEAD_BYTES
            if self._pending_bytes > self._limits.max_pending_media_bytes:
                limit = self._limits.max_pending_media_bytes
                raise RtmpError(f"more than {limit} bytes of media arrived before the answer to `publish`")
            self._pending.append(message)
        elif self._state is not _State.ENDED:
            raise RtmpError("media arrived before `publish`")
        return []

    def handle_command(self, message: Message) -> list[RtmpEvent]:
        """Handle a command message, and send its response.

        An unknown command is answered with `_error` and is no RtmpError: encoders send commands of several servers and
        ignore what fails. Raises RtmpError for a malformed command, commands out of order, and too many of them.
        """
        if self._state is _State.ENDED:
            return []
        self._command_count += 1
        if self._command_count > self._limits.max_commands:
            raise RtmpError(f"more than {self._limits.max_commands} commands")
        command = command_messages.read_command(message, self._limits)
        if (command.name == "connect") is not (self._state is _State.UNCONNECTED):
            raise RtmpError("`connect` must be the first command and must not be repeated")
        handler = self._HANDLERS.get(command.name)
        if handler is not None:
            return handler(self, command)
        if command.transaction_id and command.name not in _RESPONSES:
            self._send(command_messages.error(command, "This command is not supported."))
        return []

    def _read_media(self, message: Message) -> list[RtmpEvent]:
        if message.stream_id != self._publish_stream_id:
            raise RtmpError(
                f"media arrived on message stream {message.stream_id}; `publish` was sent on {self._publish_stream_id}"
            )
        return [*self._media.read(message)]

    def _require_request(self) -> None:
        if self._state is not _State.REQUESTED:
            raise RtmpError("no publish request is pending")

    def _end(self) -> None:
        self._state = _State.ENDED
        self._pending.clear()

    def _send_status(self, level: str, code: str, description: str) -> None:
        self._send(command_messages.on_status(self._publish_stream_id, level, code, description))

    def _on_connect(self, command: CommandMessage) -> list[RtmpEvent]:
        """Section 7.2.1.1. The order of the answers is that of Flash Media Server.

        Set Chunk Size applies to every chunk behind it, so the larger chunks begin with the `_result` of `connect`.
        """
        command_object = command.arguments[0] if command.arguments else None
        if not isinstance(command_object, Mapping):
            raise RtmpError("`connect` has no command object")
        app = command_messages.bounded_string(
            command_object.get("app"), name="the `app` of `connect`", limits=self._limits
        )
        self._app = app
        self._state = _State.CONNECTED
        self._send(control_messages.window_acknowledgement_size(WINDOW_BYTES))
        self._send(control_messages.set_peer_bandwidth(WINDOW_BYTES))
        self._send(control_messages.set_chunk_size(SEND_CHUNK_BYTES))
        self._send(command_messages.connect_result(command))
        return []

    def _on_create_stream(self, command: CommandMessage) -> list[RtmpEvent]:
        """Section 7.2.1.3."""
        self._last_stream_id += 1
        self._stream_ids.add(self._last_stream_id)
        self._send(command_messages.result(command, None, self._last_stream_id))
        return []

    def _on_publish(self, command: CommandMessage) -> list[RtmpEvent]:
        """Section 7.2.2.6. The publishing type, such as `live`, is ignored."""
        if self._state is not _State.CONNECTED:
            raise RtmpError("a second `publish` on one connection")
        if command.stream_id not in self._stream_ids:
            raise RtmpError(f"`publish` on message stream {command.stream_id}, which `createStream` did not create")
        name = command.string_argument(1, name="the publishing name of `publish`", limits=self._limits)
        self._publish_stream_id = command.stream_id
        self._state = _State.REQUESTED
        app, stream_key = split_address(self._app, name)
        return [PublishReceived(app=app, stream_key=stream_key)]

    def _on_fc_publish(self, command: CommandMessage) -> list[RtmpEvent]:
        self._respond_empty(command)
        self._send(command_messages.on_fc_status("onFCPublish", "NetStream.Publish.Start", "FCPublish received."))
        return []

    def _on_fc_unpublish(self, command: CommandMessage) -> list[RtmpEvent]:
        code, description = "NetStream.Unpublish.Success", "Publishing ended."
        self._send(command_messages.on_fc_status("onFCUnpublish", code, description))
        self._respond_empty(command)
        return self._unpublish()

    def _on_delete_stream(self, command: CommandMessage) -> list[RtmpEvent]:
        """Section 7.2.2.3. GStreamer sends the publishing name instead of the message stream id.

        A client publishes at most once, so a `deleteStream` without an id can only mean that stream.
        """
        stream_id = command.arguments[1] if len(command.arguments) > 1 else None
        if isinstance(stream_id, float):
            self._stream_ids.discard(stream_id)
            return self._unpublish() if stream_id == self._publish_stream_id else []
        return self._unpublish()

    def _on_close_stream(self, command: CommandMessage) -> list[RtmpEvent]:
        return self._unpublish() if command.stream_id == self._publish_stream_id else []

    def _unpublish(self) -> list[RtmpEvent]:
        """End the publish at the client's request; without a publish, do nothing."""
        if self._state is _State.CONNECTED:
            return []
        self._end()
        self._send_status("status", "NetStream.Unpublish.Success", "Publishing ended.")
        return [Unpublished()]

    def _on_play(self, command: CommandMessage) -> list[RtmpEvent]:
        """Sections 7.2.2.1 and 7.2.2.2: the server does not play streams."""
        code, description = "NetStream.Play.Failed", "Playback is not supported."
        self._send(command_messages.on_status(command.stream_id, "error", code, description))
        return []

    def _respond_empty(self, command: CommandMessage) -> list[RtmpEvent]:
        # Transaction id 0 means that the client expects no answer (section 7.2.1).
        if command.transaction_id:
            self._send(command_messages.empty_result(command))
        return []

    _HANDLERS: Mapping[str, Callable[["PublishState", CommandMessage], list[RtmpEvent]]] = {
        "connect": _on_connect,
        "createStream": _on_create_stream,
        "publish": _on_publish,
        "releaseStream": _respond_empty,
        "FCPublish": _on_fc_publish,
        "FCUnpublish": _on_fc_unpublish,
        "deleteStream": _on_delete_stream,
        "closeStream": _on_close_stream,
        "getStreamLength": _respond_empty,
        "_checkbw": _respond_empty,
        "play": _on_play,
        "play2": _on_play,
    }
