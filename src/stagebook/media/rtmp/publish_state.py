"""One publish, from `connect` to its end: which command and which media may come when, and what is answered.

    WAITING --connect--> CONNECTED --publish--> ASKED --accept--> PUBLISHING
                                                  |                   |
                                                  +--refuse, end, FCUnpublish, deleteStream, closeStream--> ENDED

A connection has one publish: a second one is an error, and so is media before the first one. Media of an encoder that
does not wait for the answer is held until then. What comes after the end is passed over. Knows no chunk.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from stagebook.media.rtmp import command_messages, control_messages
from stagebook.media.rtmp.command_messages import Command
from stagebook.media.rtmp.media_messages import MediaReader
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_events import PublishAsked, RtmpEvent, Unpublished
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits

WINDOW_BYTES = 2_500_000
"""What either side may send before an acknowledgement, unless the encoder says otherwise."""
SENT_CHUNK_BYTES = 4096

_HELD_OVERHEAD_BYTES = 128
"""What a held message costs besides its payload."""
_ANSWERS = frozenset({"_result", "_error", "onStatus"})


class _State(Enum):
    WAITING = "waiting"
    CONNECTED = "connected"
    ASKED = "asked"
    PUBLISHING = "publishing"
    ENDED = "ended"


class Publish:
    """Takes the commands and the media of one connection; gives events to its owner and answers to `send`."""

    def __init__(self, limits: RtmpLimits, send: Callable[[Message], None]) -> None:
        self._limits = limits
        self._send = send
        self._state = _State.WAITING
        self._app = ""
        self._commands = 0
        self._created: set[float] = set()
        """The message streams that exist. Float, as a command's numbers are."""
        self._last_created = 0
        self._stream_id = 0
        """The message stream of the publish."""
        self._wants_fc_publish = False
        self._media = MediaReader(limits)
        self._held: list[Message] = []
        self._held_bytes = 0

    @property
    def is_to_come(self) -> bool:
        """Whether `publish` is still awaited."""
        return self._state in {_State.WAITING, _State.CONNECTED}

    @property
    def is_ended(self) -> bool:
        """Whether nothing counts any more."""
        return self._state is _State.ENDED

    def accept(self) -> None:
        """Tell the encoder that it may publish. Raises RtmpError if it does not ask."""
        self._must_be_asked()
        self._state = _State.PUBLISHING
        if self._wants_fc_publish:
            self._send(command_messages.fc_status("onFCPublish", "NetStream.Publish.Start", "Publishing."))
        self._send(control_messages.stream_begin(self._stream_id))
        self._send(command_messages.status(self._stream_id, "status", "NetStream.Publish.Start", "Publishing."))

    def refuse(self, detail: str) -> None:
        """Tell the encoder why it may not publish. Raises RtmpError if it does not ask."""
        self._must_be_asked()
        self._close()
        self._send(command_messages.status(self._stream_id, "error", "NetStream.Publish.Denied", detail))

    def end(self, detail: str) -> None:
        """Tell the encoder why it cannot go on, if it can be told: not before `connect`, and not twice."""
        if self._state not in {_State.WAITING, _State.ENDED}:
            self._send(command_messages.status(self._stream_id, "error", "NetStream.Failed", detail))
        self._close()

    def take_held(self) -> list[RtmpEvent]:
        """What came before the publish was accepted; empty while it is not. Raises RtmpError."""
        if self._state is not _State.PUBLISHING or not self._held:
            return []
        held, self._held = self._held, []
        return [event for message in held for event in self._read_media(message)]

    def take_media(self, message: Message) -> list[RtmpEvent]:
        """Take an audio, video or aggregate message. Raises RtmpError."""
        if self._state is _State.PUBLISHING:
            return self._read_media(message)
        if self._state is _State.ASKED:
            self._held_bytes += len(message.payload) + _HELD_OVERHEAD_BYTES
            if self._held_bytes > self._limits.max_held_bytes:
                raise RtmpError(f"more than {self._limits.max_held_bytes} bytes came before the publish was answered")
            self._held.append(message)
        elif self._state is not _State.ENDED:
            raise RtmpError("media came before `publish`")
        return []

    def take_command(self, message: Message) -> list[RtmpEvent]:
        """Take a command message. Raises RtmpError."""
        if self._state is _State.ENDED:
            return []
        self._commands += 1
        if self._commands > self._limits.max_commands:
            raise RtmpError(f"more than {self._limits.max_commands} commands")
        command = command_messages.read_command(message, self._limits)
        if (command.name == "connect") is not (self._state is _State.WAITING):
            raise RtmpError("`connect` is the first command, and comes once")
        handle = self._HANDLERS.get(command.name)
        if handle is not None:
            return handle(self, command)
        if command.transaction_id and command.name not in _ANSWERS:
            self._send(command_messages.error(command, "This command is not known here."))
        return []

    def _read_media(self, message: Message) -> list[RtmpEvent]:
        if message.stream_id != self._stream_id:
            raise RtmpError(f"media came on message stream {message.stream_id}, `publish` on {self._stream_id}")
        return [*self._media.read(message)]

    def _must_be_asked(self) -> None:
        if self._state is not _State.ASKED:
            raise RtmpError("no publish waits for an answer")

    def _close(self) -> None:
        self._state = _State.ENDED
        self._held.clear()

    def _connect(self, command: Command) -> list[RtmpEvent]:
        asked = command.arguments[0] if command.arguments else None
        if not isinstance(asked, Mapping):
            raise RtmpError("`connect` has no command object")
        app = command_messages.bounded_text(asked.get("app"), what="the `app` of `connect`", limits=self._limits)
        self._app = app.partition("?")[0].strip("/")
        self._state = _State.CONNECTED
        self._send(control_messages.window_acknowledgement_size(WINDOW_BYTES))
        self._send(control_messages.peer_bandwidth(WINDOW_BYTES))
        self._send(control_messages.chunk_size(SENT_CHUNK_BYTES))
        self._send(command_messages.connected(command))
        return []

    def _create_stream(self, command: Command) -> list[RtmpEvent]:
        self._last_created += 1
        self._created.add(self._last_created)
        self._send(command_messages.result(command, None, self._last_created))
        return []

    def _publish(self, command: Command) -> list[RtmpEvent]:
        if self._state is not _State.CONNECTED:
            raise RtmpError("a second `publish` on one connection")
        if command.stream_id not in self._created:
            raise RtmpError(f"`publish` on message stream {command.stream_id}, which `createStream` did not give")
        name = command.text(1, what="the name of `publish`", limits=self._limits)
        self._stream_id = command.stream_id
        self._state = _State.ASKED
        return [PublishAsked(app=self._app, stream_key=name.partition("?")[0])]

    def _fc_publish(self, command: Command) -> list[RtmpEvent]:
        self._wants_fc_publish = True
        return self._acknowledge(command)

    def _fc_unpublish(self, command: Command) -> list[RtmpEvent]:
        self._send(command_messages.fc_status("onFCUnpublish", "NetStream.Unpublish.Success", "Publishing ended."))
        self._acknowledge(command)
        return self._unpublish()

    def _delete_stream(self, command: Command) -> list[RtmpEvent]:
        stream_id = command.arguments[1] if len(command.arguments) > 1 else None
        if isinstance(stream_id, float):
            self._created.discard(stream_id)
            return self._unpublish() if stream_id == self._stream_id else []
        return self._unpublish()  # GStreamer names the publish instead of its message stream.

    def _close_stream(self, command: Command) -> list[RtmpEvent]:
        return self._unpublish() if command.stream_id == self._stream_id else []

    def _unpublish(self) -> list[RtmpEvent]:
        """The encoder's own end of its publish; nothing where none is asked for."""
        if self._state is _State.CONNECTED:
            return []
        self._close()
        self._send(
            command_messages.status(self._stream_id, "status", "NetStream.Unpublish.Success", "Publishing ended.")
        )
        return [Unpublished()]

    def _play(self, command: Command) -> list[RtmpEvent]:
        self._send(
            command_messages.status(command.stream_id, "error", "NetStream.Play.Failed", "Nothing is played here.")
        )
        return []

    def _acknowledge(self, command: Command) -> list[RtmpEvent]:
        if command.transaction_id:
            self._send(command_messages.done(command))
        return []

    _HANDLERS: Mapping[str, Callable[["Publish", Command], list[RtmpEvent]]] = {
        "connect": _connect,
        "createStream": _create_stream,
        "publish": _publish,
        "releaseStream": _acknowledge,
        "FCPublish": _fc_publish,
        "FCUnpublish": _fc_unpublish,
        "deleteStream": _delete_stream,
        "closeStream": _close_stream,
        "getStreamLength": _acknowledge,
        "_checkbw": _acknowledge,
        "play": _play,
        "play2": _play,
    }
