"""RTP packets as a forwarder sees them (RFC 3550 section 5, RFC 8285): split, never decoded. Pure."""

import struct
from typing import NamedTuple

HEADER = struct.Struct("!BBHLL")
"""Version and flags, marker and payload type, sequence number, timestamp, SSRC."""
HEADER_SIZE_BYTES = 12
RTX_HEADER_SIZE_BYTES = 2

_ONE_BYTE_PROFILE = 0xBEDE
_TWO_BYTE_PROFILE = 0x1000


class RtpPacket(NamedTuple):
    """One received packet. A NamedTuple because one is made for every packet of every publisher."""

    payload_type: int
    marker: int
    """0 or 1."""
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    """Without padding; empty for pure padding (bandwidth probes)."""
    extension: bytes
    """The header extension block with its four bytes of profile and length; empty where there is none."""


def parse_rtp(packet: bytes) -> RtpPacket | None:
    """Split an unprotected RTP packet (RFC 3550 section 5.1); None if its lengths do not fit together. Never raises."""
    size = len(packet)
    if size < HEADER_SIZE_BYTES:
        return None
    flags, marker_and_type, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
    if flags >> 6 != 2:
        return None
    start = HEADER_SIZE_BYTES + 4 * (flags & 0x0F)
    extension = b""
    if flags & 0x10:
        if start + 4 > size:
            return None
        end = start + 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        extension = packet[start:end]
        start = end
    if flags & 0x20:
        # The last byte counts the padding, itself included.
        padding = packet[-1]
        if padding == 0:
            return None
        size -= padding
    if start > size:
        return None
    return RtpPacket(
        marker_and_type & 0x7F, marker_and_type >> 7, sequence, timestamp, ssrc, packet[start:size], extension
    )


def extension_value(extension: bytes, wanted_id: int) -> bytes | None:
    """One element of a header extension block by its id (RFC 8285 sections 4.2, 4.3); None if absent or malformed."""
    if len(extension) < 4:
        return None
    profile = int.from_bytes(extension[:2], "big")
    if profile == _ONE_BYTE_PROFILE:
        return _one_byte_value(extension, wanted_id)
    if profile & 0xFFF0 == _TWO_BYTE_PROFILE:
        return _two_byte_value(extension, wanted_id)
    return None


def _one_byte_value(extension: bytes, wanted_id: int) -> bytes | None:
    position = 4
    while position < len(extension):
        header = extension[position]
        if header == 0:
            position += 1
            continue
        element_id, length = header >> 4, (header & 0x0F) + 1
        if element_id == 15:
            # Reserved: RFC 8285 says to stop here.
            return None
        value = extension[position + 1 : position + 1 + length]
        if element_id == wanted_id:
            return value if len(value) == length else None
        position += 1 + length
    return None


def _two_byte_value(extension: bytes, wanted_id: int) -> bytes | None:
    position = 4
    while position + 1 < len(extension):
        element_id, length = extension[position], extension[position + 1]
        if element_id == 0:
            position += 1
            continue
        value = extension[position + 2 : position + 2 + length]
        if element_id == wanted_id:
            return value if len(value) == length else None
        position += 2 + length
    return None


def sequence_distance(newer: int, older: int) -> int:
    """How far 16-bit `newer` is ahead of `older`: -32768..32767, the shorter way round (RFC 1982 in spirit)."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(newer: int, older: int) -> int:
    """The same for 32-bit RTP timestamps."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000
