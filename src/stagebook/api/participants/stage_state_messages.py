"""The presence messages of the events websocket, as JSON text.

    server: {"type": "STAGE_STATE", "payload": {"stageId", "sequenceNumber", "participants"}}   all, the client included
            {"type": "STAGE_STATE_CHANGE", "payload": {"stageId", "baseSequenceNumber", "sequenceNumber",
                                                       "joined", "updated", "left"}}
            {"type": "PING"} and {"type": "PONG"}
    client: {"type": "PING"} and {"type": "PONG"}

The server ignores messages of unknown types, so that a newer client works with an older server.

A STAGE_STATE message of a large stage has parts, which the server sends as the fragments of one websocket message. It
is a tree: sections of parts of pieces. All of these are shared: by all sockets of the stage, and, where the list has
not changed in between, by successive messages of the stage. So a socket that reads slowly, and is in the middle of an
older message, keeps only one path of the tree in memory for each change since. For this, the list is cut at
participants whose id has a certain checksum, which does not depend on their position (content-defined chunking): a
participant that leaves changes one piece, not all pieces after it.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias
from weakref import WeakValueDictionary

import msgspec

from stagebook.manager.presence.watchers import PresentParticipant, StageChange, StageSnapshot
from stagebook.stage.json_depth import is_too_deep

PING = '{"type":"PING"}'
PONG = '{"type":"PONG"}'

ONE_PART_SIZE_BYTES = 16_384
"""A message up to this size is one part, and so one frame, as in the messages of other servers."""
PART_SIZE_BYTES = 16_384
"""Mean size of a part: large enough that frames cost little CPU."""
PIECE_SIZE_BYTES = 2_048
"""Mean size of a piece: small enough that a change makes few new bytes."""
MAX_PART_SIZE_BYTES = 65_536
MAX_PIECE_SIZE_BYTES = 8_192
"""A part or piece has at most this size and one participant more, whatever the ids of the participants are."""


SECTION_PARTS = 16
"""Mean number of parts in a section. With sections, a message of 5 MB is a tuple of 20 references instead of 320."""

Part: TypeAlias = tuple[bytes, ...]
Section: TypeAlias = tuple[Part, ...]


class _TypedMessage(msgspec.Struct, frozen=True):
    type: str


_END = b"]}}"
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
    """An encoded message: sections of parts of pieces of its text in UTF-8, to be sent in this order."""

    __slots__ = ("__weakref__", "sections")

    def __init__(self, sections: tuple[Section, ...]) -> None:
        self.sections = sections

    @property
    def parts(self) -> Iterator[Part]:
        """The parts of the message."""
        return chain.from_iterable(self.sections)

    @property
    def part_count(self) -> int:
        """The number of parts."""
        return sum(map(len, self.sections))

    @property
    def size_bytes(self) -> int:
        """The size of the whole message."""
        return sum(len(piece) for part in self.parts for piece in part)

    def wrapped(self, prefix: bytes, suffix: bytes) -> "StageStateMessage":
        """Return this message between two further pieces. All pieces, and all other parts and sections, are shared."""
        sections = [section for section in self.sections if section]
        first_part, *parts = sections[0]
        sections[0] = ((prefix, *first_part), *parts)
        *parts, last_part = sections[-1]
        sections[-1] = (*parts, (*last_part, suffix))
        return StageStateMessage(tuple(sections))

    @property
    def text(self) -> str:
        """The whole message, for a server that cannot send parts."""
        return b"".join(piece for part in self.parts for piece in part).decode("utf-8")


class StageStateEncoder:
    """Encodes the snapshots and changes of one list of a stage, each once for all watchers of the list.

    The stage manager passes the same object to every watcher of the list in a row, so comparing with the last one is
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
            self._state_message = _shared(self._state_message, _parts(snapshot))
            self._snapshot = snapshot
        return self._state_message

    def encode_change(self, change: StageChange) -> StageStateMessage:
        """Return the STAGE_STATE_CHANGE message for this change."""
        if change is not self._change:
            self._change_message = StageStateMessage((((_change_text(change),),),))
            self._change = change
        return self._change_message


class StageStateEncoders:
    """The encoders of all lists of stages. An encoder exists as long as a websocket with its list keeps it."""

    def __init__(self) -> None:
        self._by_list: WeakValueDictionary[tuple[str, bool], StageStateEncoder] = WeakValueDictionary()

    def of_list(self, stage_id: str, *, publishers_only: bool) -> StageStateEncoder:
        """Return the encoder that all websockets share which show the same list of a stage."""
        key = (stage_id, publishers_only)
        encoder = self._by_list.get(key)
        if encoder is None:
            encoder = self._by_list[key] = StageStateEncoder()
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


def _shared(before: StageStateMessage, parts: Iterable[Iterable[bytes]]) -> StageStateMessage:
    """Return the message, with the object of the message before for each section, part and piece that is equal."""
    known_pieces = {piece: piece for part in before.parts for piece in part}
    known_parts = {part: part for part in before.parts}
    known_sections = {section: section for section in before.sections}
    sections: list[Section] = []
    section: list[Part] = []
    for pieces in parts:
        part = tuple(known_pieces.get(piece, piece) for piece in pieces)
        section.append(known_parts.get(part, part))
        # Cut by the content, as pieces and parts are, so that a change of one section leaves the others as they are.
        if zlib.crc32(part[-1]) % SECTION_PARTS == 0:
            sections.append(tuple(section))
            section = []
    sections.append(tuple(section))
    return StageStateMessage(tuple(known_sections.get(each, each) for each in sections))


def _parts(snapshot: StageSnapshot) -> list[list[bytes]]:
    """Return the text of a message in parts of pieces. What differs in each message is a piece of its own."""
    parts = list(_groups(snapshot.participants)) or [[]]
    stage_id, number = _encoder.encode(snapshot.stage_id), _encoder.encode(snapshot.sequence_number)
    members = b'"stageId":' + stage_id + b',"sequenceNumber":' + number + b',"participants":['
    parts[0].insert(0, b'{"type":"STAGE_STATE","payload":{' + members)
    parts[-1].append(_END)
    size_bytes = sum(len(piece) for part in parts for piece in part)
    return parts if size_bytes > ONE_PART_SIZE_BYTES else [[piece for part in parts for piece in part]]


def _groups(participants: Iterable[PresentParticipant]) -> Iterator[list[bytes]]:
    """Yield the participants as JSON with commas between them, in parts of pieces of about the mean sizes.

    A piece, or a part, ends at a participant whose id has a small checksum. "Small" is in proportion to the
    participant's own size.
    """
    part: list[bytes] = []
    piece: list[bytes] = []
    part_size_bytes = piece_size_bytes = 0
    comma = b""
    for participant in participants:
        entry = comma + _encoder.encode(_entry(participant))
        comma = b","
        piece.append(entry)
        part_size_bytes += len(entry)
        piece_size_bytes += len(entry)
        checksum, weight = zlib.crc32(participant.participant_id.encode()), len(entry) << 32
        is_part_end = checksum * PART_SIZE_BYTES < weight or part_size_bytes > MAX_PART_SIZE_BYTES
        if is_part_end or checksum * PIECE_SIZE_BYTES < weight or piece_size_bytes > MAX_PIECE_SIZE_BYTES:
            part.append(b"".join(piece))
            piece, piece_size_bytes = [], 0
        if is_part_end:
            yield part
            part, part_size_bytes = [], 0
    if piece:
        part.append(b"".join(piece))
    if part:
        yield part


def _entry(participant: PresentParticipant) -> dict[str, object]:
    return {
        "id": participant.participant_id,
        "userId": participant.user_id,
        "attributes": participant.attributes,
        "isPublishing": participant.is_publishing,
        "audioMuted": participant.audio_muted,
        "videoStopped": participant.video_stopped,
    }
