"""A client's side of a session with RtmpConnection, without a network."""

from collections.abc import Mapping

from stagebook.media.rtmp.amf0 import Amf0Value, write_values
from stagebook.media.rtmp.chunk_reader import ChunkReader
from stagebook.media.rtmp.command_messages import CommandMessage, read_command
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_events import RtmpEvent
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.rtmp.chunk_encoder import ChunkEncoder

HANDSHAKE = b"\3" + bytes(2 * 1536)
SERVER_HANDSHAKE_BYTES = 1 + 2 * 1536
LIMITS = RtmpLimits()


class ClientSession:
    """A connection after the handshake. The methods that send return the server's events."""

    def __init__(self, limits: RtmpLimits = LIMITS) -> None:
        self.server = RtmpConnection(limits)
        self.encoder = ChunkEncoder()
        self.sent_bytes = 0
        self._reader = ChunkReader(LIMITS)
        assert self.send(HANDSHAKE) == []
        assert len(self.server.data_to_send()) == SERVER_HANDSHAKE_BYTES

    def send(self, data: bytes) -> list[RtmpEvent]:
        """Send bytes."""
        self.sent_bytes += len(data)
        return self.server.receive(data)

    def send_message(
        self, type_id: int, payload: bytes = b"", *, stream_id: int = 0, timestamp: int = 0
    ) -> list[RtmpEvent]:
        """Send one message."""
        return self.send(self.encoder.message(Message(type_id, stream_id, timestamp, payload)))

    def send_command(
        self, name: str, *arguments: Amf0Value, stream_id: int = 0, transaction_id: float = 0
    ) -> list[RtmpEvent]:
        """Send one command."""
        payload = write_values(name, transaction_id, *arguments)
        return self.send_message(MessageType.COMMAND_AMF0, payload, stream_id=stream_id)

    def received(self) -> list[Message]:
        """The messages that the server has sent since the last call."""
        return self._reader.receive(self.server.data_to_send())

    def received_commands(self) -> list[CommandMessage]:
        """The commands among `received`."""
        return [read_command(message, LIMITS) for message in self.received() if message.type_id == 20]

    def received_status(self) -> Mapping[str, Amf0Value]:
        """The information object of the only `onStatus` among `received`."""
        (status,) = [command for command in self.received_commands() if command.name == "onStatus"]
        assert status.transaction_id == 0
        assert status.arguments[0] is None
        information = status.arguments[1]
        assert isinstance(information, Mapping)
        return information


def connected(limits: RtmpLimits = LIMITS, *, app: str = "app", **properties: Amf0Value) -> ClientSession:
    """A session after `connect`; the server's answer is not read yet."""
    session = ClientSession(limits)
    assert session.send_command("connect", {"app": app, **properties}, transaction_id=1) == []
    return session


def requested(limits: RtmpLimits = LIMITS) -> ClientSession:
    """A session with a pending `publish` on message stream 1; the answers before it are read."""
    session = connected(limits)
    session.send_command("createStream", None, transaction_id=2)
    assert len(session.send_command("publish", None, "key", "live", stream_id=1, transaction_id=3)) == 1
    session.received()
    return session


def publishing(limits: RtmpLimits = LIMITS) -> ClientSession:
    """A session with an accepted `publish` on message stream 1; the answers are read."""
    session = requested(limits)
    session.server.accept_publish()
    session.received()
    return session
