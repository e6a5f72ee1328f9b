"""An encoder's side of a session with RtmpServer, without a network: what it says, and what it is answered."""

from collections.abc import Mapping

from stagebook.media.rtmp.amf0 import Amf0Value, write_values
from stagebook.media.rtmp.chunks import ChunkReader
from stagebook.media.rtmp.command_messages import Command, read_command
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_connection import RtmpServer
from stagebook.media.rtmp.rtmp_events import RtmpEvent
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.rtmp.wire import EncoderSocket

HANDSHAKE = b"\3" + bytes(2 * 1536)
SERVER_HANDSHAKE_BYTES = 1 + 2 * 1536
LIMITS = RtmpLimits()


class Session:
    """One connection, with the handshake done."""

    def __init__(self, limits: RtmpLimits = LIMITS) -> None:
        self.server = RtmpServer(limits)
        self.wire = EncoderSocket()
        self.sent_bytes = 0
        self._answers = ChunkReader(LIMITS)
        assert self.send(HANDSHAKE) == []
        assert len(self.server.data_to_send()) == SERVER_HANDSHAKE_BYTES

    def send(self, data: bytes) -> list[RtmpEvent]:
        """Send bytes; return the events."""
        self.sent_bytes += len(data)
        return self.server.receive(data)

    def say(self, type_id: int, payload: bytes = b"", *, stream_id: int = 0, timestamp: int = 0) -> list[RtmpEvent]:
        """Send one message; return the events."""
        return self.send(self.wire.message(Message(type_id, stream_id, timestamp, payload)))

    def command(
        self, name: str, *arguments: Amf0Value, stream_id: int = 0, transaction_id: float = 0
    ) -> list[RtmpEvent]:
        """Send one command; return the events."""
        payload = write_values(name, transaction_id, *arguments)
        return self.say(MessageType.COMMAND_AMF0, payload, stream_id=stream_id)

    def answers(self) -> list[Message]:
        """All messages that the server has sent since the last call."""
        return self._answers.receive(self.server.data_to_send())

    def commands(self) -> list[Command]:
        """The commands among `answers`."""
        return [read_command(answer, LIMITS) for answer in self.answers() if answer.type_id == 20]

    def status(self) -> Mapping[str, Amf0Value]:
        """What the only `onStatus` among `answers` says."""
        (status,) = [command for command in self.commands() if command.name == "onStatus"]
        assert status.transaction_id == 0
        assert status.arguments[0] is None
        information = status.arguments[1]
        assert isinstance(information, Mapping)
        return information


def connected(limits: RtmpLimits = LIMITS, *, app: str = "app", **properties: Amf0Value) -> Session:
    """A session whose `connect` is answered."""
    session = Session(limits)
    assert session.command("connect", {"app": app, **properties}, transaction_id=1) == []
    return session


def asked(limits: RtmpLimits = LIMITS) -> Session:
    """A session whose `publish`, on message stream 1, waits for an answer; what came before it is read."""
    session = connected(limits)
    session.command("createStream", None, transaction_id=2)
    assert len(session.command("publish", None, "key", "live", stream_id=1, transaction_id=3)) == 1
    session.answers()
    return session


def publishing(limits: RtmpLimits = LIMITS) -> Session:
    """A session that publishes on message stream 1; what came before it is read."""
    session = asked(limits)
    session.server.accept_publish()
    session.answers()
    return session
