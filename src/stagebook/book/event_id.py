"""The id of an event, which is the same in every API, delivery and file.

An id is a UUID of version 7 (RFC 9562, section 5.7), computed from what the book stores:

    48 bits  the milliseconds of the sequence number
     4 bits  the version, 7
    12 bits  the upper bits of the counter of the sequence number
     2 bits  the variant
     8 bits  the lower bits of the counter
    54 bits  a hash of the session id and the participant id

So ids sort as the events do, and an id names a position of the book: a client can resume from the id of the last event
that it has processed. The hash distinguishes the events of two books that have the same sequence number. In the id of
a position that is no event the hash is zero.
"""

import hashlib
import uuid

from stagebook.book.changes import SEQUENCE_TIME_SHIFT

_COUNTER_MASK = (1 << SEQUENCE_TIME_SHIFT) - 1
_LOWER_COUNTER_BITS = 8
_HASH_BITS = 54
_HASH_SIZE_BYTES = 8
_VERSION = 7
_VARIANT = 0b10


def event_id(sequence: int, *, session_id: str, participant_id: str) -> str:
    """Return the id of the event with this sequence number, in the usual form of a UUID with 36 characters."""
    digest = hashlib.blake2b(f"{session_id}/{participant_id}".encode(), digest_size=_HASH_SIZE_BYTES).digest()
    return _uuid(sequence, node_hash=int.from_bytes(digest, "big") >> (_HASH_SIZE_BYTES * 8 - _HASH_BITS))


def position_id(sequence: int) -> str:
    """Return the id of a position: after the event with this sequence number, whichever that is, if there is one."""
    return _uuid(sequence, node_hash=0)


def sequence_of_event(text: str) -> int:
    """Return the sequence number of an event or position id. Raises ValueError for a text that is no such id."""
    value = uuid.UUID(text).int
    if str(uuid.UUID(int=value)) != text or value >> 76 & 0xF != _VERSION or value >> 62 & 0b11 != _VARIANT:
        raise ValueError("not the id of an event")
    counter = (value >> 64 & 0xFFF) << _LOWER_COUNTER_BITS | value >> _HASH_BITS & ((1 << _LOWER_COUNTER_BITS) - 1)
    return (value >> 80) << SEQUENCE_TIME_SHIFT | counter


def _uuid(sequence: int, *, node_hash: int) -> str:
    time_ms, counter = sequence >> SEQUENCE_TIME_SHIFT, sequence & _COUNTER_MASK
    upper, lower = counter >> _LOWER_COUNTER_BITS, counter & ((1 << _LOWER_COUNTER_BITS) - 1)
    node = lower << _HASH_BITS | node_hash
    return str(uuid.UUID(int=time_ms << 80 | _VERSION << 76 | upper << 64 | _VARIANT << 62 | node))
