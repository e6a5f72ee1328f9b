"""The header that Enhanced RTMP v2 defines for audio ("Enhanced Audio") and video ("Enhanced Video") messages.

    first byte: packet type in the low four bits
    ModEx parts, while the packet type is 7: size - 1, data, next packet type
    one track:                FourCC | body
    multitrack, one track:    arrangement, packet type | FourCC | track id | body
    multitrack, many tracks:  arrangement, packet type | FourCC | (track id | size | body) ...
    multitrack, many codecs:  arrangement, packet type | (FourCC | track id | size | body) ...

A packet that is not multitrack belongs to track 0, which the specification recommends as the default track. ModEx
parts are skipped: the only defined one adds nanoseconds to the timestamp, which has no effect at RTP's resolution.
"""

from enum import IntEnum
from typing import Final

import msgspec

from stagebook.media.codecs.input_fault import invalid_input

MOD_EX: Final = 7
_ONE_TRACK = 0
_MANY_TRACKS = 1
_MANY_CODECS = 2

DEFAULT_TRACK_ID: Final = 0

_MAX_EXTENSIONS = 8
_MAX_TRACKS = 16


class PacketType(IntEnum):
    """The content of a message.

    Only video uses CODED_FRAMES_X. DESCRIPTION is metadata for video and the channel configuration for audio.
    """

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    CODED_FRAMES_X = 3
    DESCRIPTION = 4


class EnhancedPacket(msgspec.Struct, frozen=True, kw_only=True):
    """The packet of one track: its packet type, its codec, and a view of the bytes behind the header."""

    track_id: int = DEFAULT_TRACK_ID
    packet_type: int
    fourcc: bytes
    body: memoryview

    @property
    def fourcc_text(self) -> str:
        """The FourCC for error messages, with unprintable bytes escaped."""
        return repr(self.fourcc)[2:-1]


def read_enhanced_header(payload: bytes | bytearray, *, multitrack: int) -> list[EnhancedPacket]:
    """Read the header of a message with at least one byte.

    `multitrack` is the packet type that means "several tracks" (6 for video, 5 for audio). Returns the packets of all
    tracks, in the order of the message. Raises InputFaultError (INPUT) for a header that is truncated or has unknown
    values.
    """
    packet_type, rest = _skip_extensions(memoryview(payload))
    if packet_type != multitrack:
        return [EnhancedPacket(packet_type=packet_type, fourcc=bytes(_take(rest, 0, 4)), body=rest[4:])]
    arrangement_and_type = _take(rest, 0, 1)[0]
    packet_type = arrangement_and_type & 0x0F
    if packet_type == multitrack:
        raise invalid_input("an enhanced message has a multitrack packet within a multitrack packet")
    return _read_tracks(rest[1:], packet_type=packet_type, arrangement=arrangement_and_type >> 4)


def default_track(packets: list[EnhancedPacket]) -> EnhancedPacket | None:
    """The packet of track 0; None if there is none."""
    return next((packet for packet in packets if packet.track_id == DEFAULT_TRACK_ID), None)


def _skip_extensions(data: memoryview) -> tuple[int, memoryview]:
    """Skip all ModEx parts. Returns the packet type behind them and the bytes that follow it."""
    packet_type, position = data[0] & 0x0F, 1
    for _ in range(_MAX_EXTENSIONS + 1):
        if packet_type != MOD_EX:
            return packet_type, data[position:]
        size = _take(data, position, 1)[0] + 1
        position += 1
        # A size of 256 means that the real size follows in two bytes.
        if size == 256:
            size = int.from_bytes(_take(data, position, 2)) + 1
            position += 2
        packet_type = _take(data, position + size, 1)[0] & 0x0F
        position += size + 1
    raise invalid_input(f"an enhanced message has more than {_MAX_EXTENSIONS} extensions")


def _read_tracks(data: memoryview, *, packet_type: int, arrangement: int) -> list[EnhancedPacket]:
    if arrangement not in (_ONE_TRACK, _MANY_TRACKS, _MANY_CODECS):
        raise invalid_input(f"an enhanced message has the unknown multitrack type {arrangement}")
    packets: list[EnhancedPacket] = []
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
        packets.append(EnhancedPacket(track_id=track_id, packet_type=packet_type, fourcc=fourcc, body=body))
        # The number of tracks is not in the header: the message ends behind the last one.
        position += size
        if position == len(data):
            return packets
    raise invalid_input(f"an enhanced message has more than {_MAX_TRACKS} tracks")


def _take(data: memoryview, position: int, size: int) -> memoryview:
    part = data[position : position + size]
    if len(part) < size:
        raise invalid_input("an enhanced message is truncated")
    return part
