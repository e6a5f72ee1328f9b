"""The header that Enhanced RTMP (v2, "Enhanced Audio" and "Enhanced Video") puts before audio and video alike.

Of many tracks only track 0 is taken: the specification recommends it as the default track. Modifier extensions are
stepped over: the only one defined moves a timestamp by less than a millisecond. Knows no codec.
"""

from enum import IntEnum

import msgspec

from stagebook.media.codecs.input_fault import invalid_input

_MOD_EX = 7
_ONE_TRACK = 0
_MANY_TRACKS = 1
_MANY_CODECS = 2
_TRACK_ID = 0

_MAX_EXTENSIONS = 8
_MAX_TRACKS = 16


class PacketType(IntEnum):
    """What a message brings. CODED_FRAMES_X is video's own; a DESCRIPTION is metadata of video or channels of audio."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    CODED_FRAMES_X = 3
    DESCRIPTION = 4


class EnhancedPacket(msgspec.Struct, frozen=True, kw_only=True):
    """What an enhanced message says of track 0: packet type, FourCC, and what follows the header."""

    packet_type: int
    fourcc: bytes
    body: memoryview

    @property
    def fourcc_text(self) -> str:
        """The FourCC for a person: whatever its bytes are, they are printable here."""
        return repr(self.fourcc)[2:-1]


def read_enhanced(payload: bytes, *, multitrack: int) -> EnhancedPacket | None:
    """Read an enhanced message; the packet type is in the low four bits of its first byte.

    `multitrack` is the packet type that means "several tracks" (6 for video, 5 for audio). None: track 0 is not in it.
    Raises InputFaultError (INPUT) for a header that is cut short.
    """
    packet_type, rest = _without_extensions(memoryview(payload))
    if packet_type != multitrack:
        return EnhancedPacket(packet_type=packet_type, fourcc=bytes(_take(rest, 0, 4)), body=rest[4:])
    kinds = _take(rest, 0, 1)[0]
    packet_type = kinds & 0x0F
    if packet_type == multitrack:
        raise invalid_input("an enhanced message has tracks within tracks")
    return _default_track(rest[1:], packet_type=packet_type, arrangement=kinds >> 4)


def _without_extensions(data: memoryview) -> tuple[int, memoryview]:
    """(packet type, what follows) behind all ModEx parts: each has a size, data, and the next packet type."""
    packet_type, position = data[0] & 0x0F, 1
    for _ in range(_MAX_EXTENSIONS + 1):
        if packet_type != _MOD_EX:
            return packet_type, data[position:]
        size = _take(data, position, 1)[0] + 1
        position += 1
        if size == 256:
            size = int.from_bytes(_take(data, position, 2)) + 1
            position += 2
        packet_type = _take(data, position + size, 1)[0] & 0x0F
        position += size + 1
    raise invalid_input(f"an enhanced message has more than {_MAX_EXTENSIONS} extensions")


def _default_track(data: memoryview, *, packet_type: int, arrangement: int) -> EnhancedPacket | None:
    """The packet of track 0: tracks follow one another, each with its id and, if there are many, its size."""
    if arrangement not in (_ONE_TRACK, _MANY_TRACKS, _MANY_CODECS):
        raise invalid_input(f"an enhanced message arranges its tracks in an unknown way ({arrangement})")
    fourcc, position = b"", 0
    if arrangement != _MANY_CODECS:
        fourcc, position = bytes(_take(data, 0, 4)), 4
    for _ in range(_MAX_TRACKS):
        if arrangement == _MANY_CODECS:
            fourcc, position = bytes(_take(data, position, 4)), position + 4
        track_id = _take(data, position, 1)[0]
        position += 1
        size = len(data) - position
        if arrangement != _ONE_TRACK:
            size = int.from_bytes(_take(data, position, 3))
            position += 3
        body = _take(data, position, size)
        if track_id == _TRACK_ID:
            return EnhancedPacket(packet_type=packet_type, fourcc=fourcc, body=body)
        position += size
        if position == len(data):
            return None
    raise invalid_input(f"an enhanced message has more than {_MAX_TRACKS} tracks")


def _take(data: memoryview, position: int, size: int) -> memoryview:
    piece = data[position : position + size]
    if len(piece) < size:
        raise invalid_input("an enhanced message is cut short")
    return piece
