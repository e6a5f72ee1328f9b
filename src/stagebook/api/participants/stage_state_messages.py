"""The presence messages of the events websocket, as JSON text.

    server: {"type": "STAGE_STATE", "payload": {"stageId", "sequenceNumber", "participants"}}   all, the client included
            {"type": "STAGE_STATE_CHANGE", "payload": {"stageId", "baseSequenceNumber", "sequenceNumber",
                                                       "joined", "updated", "left"}}
            {"type": "PING"} and {"type": "PONG"}
    client: {"type": "PING"} and {"type": "PONG"}

The server ignores messages of unknown types, so that a newer client works with an older server.

A STAGE_STATE message of a large stage is a list of parts, which the server sends as the fragments of one websocket
message. Parts are shared: by all sockets of the stage, and, where the list has not changed in between, by successive
messages of the stage. So a socket that reads slowly, and is in the middle of an older message, keeps only the parts
in memory that have changed since. For this, the list is cut at participants whose id has a certain checksum, which
does not depend on their position (content-defined chunking): a participant that leaves changes one part, not all
parts after it.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakValueDictionary

import msgspec

from stagebook.manager.presence.watchers import PresentParticipant, StageChange, StageSnapshot
from stagebook.stage.json_depth import is_too_deep

PING = '{"type":"PING"}'
PONG = '{"type":"PONG"}'

ONE_PART_SIZE_BYTES = 16_384
"""A message up to this size is one part, and so one frame, as in the messages of other servers."""
PART_SIZE_BYTES = 8_192
"""Mean size of a part: small enough that a change makes few new bytes, large enough that frames cost little CPU."""
MAX_PART_SIZE_BYTES = 65_536
"""A part has at most this size and one participant more, whatever the ids of the participants are."""


class _TypedMessage(msgspec.Struct, frozen=True):
    type: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_TypedMessage)


def message_type(text: str) -> str | None:
    """Return the `type` of a client's message; None unless it is a JSON object with a string `type`.

    A message that is nested too deeply has no type: the decoder would raise RecursionError.
    """
    if is_too_deep(text):
        return None
    try:
        return _decoder.decode(text).type
    except (msgspec.DecodeError, UnicodeError):
        return None


class StageStateMessage:
    """An encoded message: the parts of its text in UTF-8, to be sent in this order."""

    __slots__ = ("__weakref__", "parts")

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        self.parts = parts

    @property
    def size_bytes(self) -> int:
        """The size of the whole message."""
        return sum(map(len, self.parts))

    @property
    def text(self) -> str:
        """The whole message, for a server that cannot send parts."""
        return b"".join(self.parts).decode("utf-8")


class StageStateEncoder:
    """Encodes the snapshots and changes of one stage, each once for all watchers of the stage.

    The stage manager passes the same object to every watcher of the stage in a row, so comparing with the last one is
    enough. Identity is much cheaper than comparing a full stage. The newest list stays, to share its parts with the
    next one.
    """

    __slots__ = ("__weakref__", "_change", "_change_message", "_snapshot", "_state_message")

    def __init__(self) -> None:
        self._snapshot: StageSnapshot | None = None
        self._state_message = StageStateMessage(())
        self._change: StageChange | None = None
        self._change_message = StageStateMessage(())

    def encode(self, snapshot: StageSnapshot) -> StageStateMessage:
        """Return the STAGE_STATE message for this snapshot."""
        if snapshot is not self._snapshot:
            self._state_message = StageStateMessage(_shared(self._state_message.parts, _parts(snapshot)))
            self._snapshot = snapshot
        return self._state_message

    def encode_change(self, change: StageChange) -> StageStateMessage:
        """Return the STAGE_STATE_CHANGE message for this change."""
        if change is not self._change:
            self._change_message = StageStateMessage((_change_text(change),))
            self._change = change
        return self._change_message


class StageStateEncoders:
    """The encoders of all stages by stage id. An encoder exists as long as a websocket of its stage keeps it."""

    def __init__(self) -> None:
        self._by_stage: WeakValueDictionary[str, StageStateEncoder] = WeakValueDictionary()

    def of_stage(self, stage_id: str) -> StageStateEncoder:
        """Return the encoder that all websockets of a stage share."""
        encoder = self._by_stage.get(stage_id)
        if encoder is None:
            encoder = self._by_stage[stage_id] = StageStateEncoder()
        return encoder


def _change_text(change: StageChange) -> bytes:
    payload = {
        "stageId": change.stage_id,
        "baseSequenceNumber": change.base_sequence_number,
        "sequenceNumber": change.sequence_number,
        "joined": [_entry(participant) for participant in change.joined],
        "updated": [_entry(participant) for participant in change.updated],
        "left": change.left,
    }
    return _encoder.encode({"type": "STAGE_STATE_CHANGE", "payload": payload})


def _shared(known: Sequence[bytes], parts: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the parts, with the object of the message before for each part that is equal."""
    known_parts = {part: part for part in known}
    return tuple(known_parts.get(part, part) for part in parts)


def _parts(snapshot: StageSnapshot) -> list[bytes]:
    """Return the text of a message in parts. Only the first and the last one have text around the participants."""
    parts = [b",".join(group) for group in _groups(snapshot.participants)] or [b""]
    parts[1:] = [b"," + part for part in parts[1:]]
    stage_id, number = _encoder.encode(snapshot.stage_id), _encoder.encode(snapshot.sequence_number)
    members = b'"stageId":' + stage_id + b',"sequenceNumber":' + number + b',"participants":['
    parts[0] = b'{"type":"STAGE_STATE","payload":{' + members + parts[0]
    parts[-1] += b"]}}"
    return parts if sum(map(len, parts)) > ONE_PART_SIZE_BYTES else [b"".join(parts)]


def _groups(participants: Iterable[PresentParticipant]) -> Iterator[list[bytes]]:
    """Yield the participants as JSON, in groups of about PART_SIZE_BYTES.

    A group ends at a participant whose id has a small checksum. "Small" is in proportion to the participant's own size.
    """
    group: list[bytes] = []
    size_bytes = 0
    for participant in participants:
        entry = _encoder.encode(_entry(participant))
        group.append(entry)
        size_bytes += len(entry)
        checksum = zlib.crc32(participant.participant_id.encode())
        if checksum * PART_SIZE_BYTES < (len(entry) << 32) or size_bytes > MAX_PART_SIZE_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _entry(participant: PresentParticipant) -> dict[str, object]:
    return {
        "id": participant.participant_id,
        "userId": participant.user_id,
        "attributes": participant.attributes,
        "isPublishing": participant.is_publishing,
    }
