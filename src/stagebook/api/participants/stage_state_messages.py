"""The presence messages of the events websocket, as JSON text.

    server: {"type": "STAGE_STATE", "payload": {"stageId": "...", "participants": [...]}}   all, the client included
            {"type": "PING"} and {"type": "PONG"}
    client: {"type": "PING"} and {"type": "PONG"}

The server ignores messages of unknown types, so that a newer client works with an older server.
"""

import msgspec

from stagebook.manager.presence.watchers import StageSnapshot

PING = '{"type":"PING"}'
PONG = '{"type":"PONG"}'


class _TypedMessage(msgspec.Struct, frozen=True):
    type: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_TypedMessage)


def message_type(text: str) -> str | None:
    """Return the `type` of a client's message; None unless it is a JSON object with a string `type`."""
    try:
        return _decoder.decode(text).type
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class StageStateEncoder:
    """Encodes stage snapshots as STAGE_STATE messages.

    The stage manager passes the same snapshot object to every watcher of the stage in a row, so the last message is
    kept and each snapshot is encoded once.
    """

    def __init__(self) -> None:
        self._snapshot: StageSnapshot | None = None
        self._message = ""

    def encode(self, snapshot: StageSnapshot) -> str:
        """Return the message for this snapshot."""
        # Identity is enough, and much cheaper than comparing a full stage.
        if snapshot is not self._snapshot:
            self._message = _stage_state(snapshot)
            self._snapshot = snapshot
        return self._message


def _stage_state(snapshot: StageSnapshot) -> str:
    participants = [
        {
            "id": participant.participant_id,
            "userId": participant.user_id,
            "attributes": participant.attributes,
            "isPublishing": participant.is_publishing,
        }
        for participant in snapshot.participants
    ]
    payload = {"stageId": snapshot.stage_id, "participants": participants}
    return _encoder.encode({"type": "STAGE_STATE", "payload": payload}).decode("utf-8")
