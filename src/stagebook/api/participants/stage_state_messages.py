"""The messages of the events websocket, both ways.

Server: STAGE_STATE (everybody on the stage, oneself included), PING and PONG. Client: PING, and PONG; anything else is
ignored, so that newer clients can speak to an older server.
"""

import msgspec

from stagebook.manager.presence.watchers import StageSnapshot

PING = '{"type":"PING"}'
PONG = '{"type":"PONG"}'


class _Spoken(msgspec.Struct, frozen=True):
    type: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Spoken)


def message_type(text: str) -> str | None:
    """Return the `type` of a client's message; None when it is not a JSON object that has one."""
    try:
        return _decoder.decode(text).type
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class StageStateEncoder:
    """Turns snapshots into STAGE_STATE messages, each once: the manager hands one snapshot to all watchers in a row."""

    def __init__(self) -> None:
        self._snapshot: StageSnapshot | None = None
        self._message = ""

    def encode(self, snapshot: StageSnapshot) -> str:
        """Return the message for this snapshot."""
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
