"""RTP packets as a forwarder needs them: header, header extension and payload (RFC 3550 section 5, RFC 8285).

A packet has a 12-byte header, up to 15 contributing SSRCs, an optional header extension block, the payload and optional
padding. The forwarder reads the header and rewrites it; it does not decode the payload. Sequence numbers (16 bits) and
timestamps (32 bits) wrap, so they are compared by `sequence_distance` and `timestamp_distance`.
"""

import struct
from typing import NamedTuple

HEADER = struct.Struct("!BBHLL")
"""Version and flags, marker and payload type, sequence number, timestamp, SSRC."""
HEADER_SIZE_BYTES = 12
RTX_HEADER_SIZE_BYTES = 2
"""The original sequence number in front of an RTX payload (RFC 4588 section 4)."""

MAX_EXTENSION_SIZE_BYTES = 256
"""The part of a header extension block in which an element is searched for. Browsers' blocks have some 40 bytes."""

# RFC 8285 sections 4.2 and 4.3. The low four bits of the two-byte profile may have any value.
_ONE_BYTE_PROFILE = 0xBEDE
_TWO_BYTE_PROFILE = 0x1000


class RtpPacket(NamedTuple):
    """One received packet. It is a NamedTuple for speed: one is made for every packet of every publisher."""

    payload_type: int
    marker: int
    """0 or 1."""
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    """The payload without padding. Empty for a packet of padding only, which probes the bandwidth."""
    extension: bytes
    """The header extension block with its four bytes of profile and length. Empty without one."""


def parse_rtp(packet: bytes) -> RtpPacket | None:
    """Parse a decrypted RTP packet (RFC 3550 section 5.1).

    Return None for another version and for lengths that exceed the packet. Never raises.
    """
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
        # The last byte is the number of padding bytes, itself included.
        padding = packet[-1]
        if padding == 0:
            return None
        size -= padding
    if start > size:
        return None
    # Without the call of the generated constructor, which is a function in Python: this runs for each packet.
    fields = (marker_and_type & 0x7F, marker_and_type >> 7, sequence, timestamp, ssrc, packet[start:size], extension)
    return tuple.__new__(RtpPacket, fields)


def extension_value(extension: bytes, wanted_id: int) -> bytes | None:
    """Return one element of a header extension block by its id (RFC 8285 sections 4.2 and 4.3).

    Return None if the element is absent or the block is malformed. Never raises. Only the first
    MAX_EXTENSION_SIZE_BYTES are searched: the block of a packet may otherwise be all padding.
    """
    if len(extension) < 4:
        return None
    extension = extension[:MAX_EXTENSION_SIZE_BYTES]
    profile = int.from_bytes(extension[:2], "big")
    if profile == _ONE_BYTE_PROFILE:
        return _one_byte_value(extension, wanted_id)
    if profile & 0xFFF0 == _TWO_BYTE_PROFILE:
        return _two_byte_value(extension, wanted_id)
    return None


def _one_byte_value(extension: bytes, wanted_id: int) -> bytes | None:
    """Elements of a header byte, id and length minus one, and 1 to 16 bytes of value (RFC 8285 section 4.2)."""
    position = 4
    while position < len(extension):
        header = extension[position]
        if header == 0:
            position += 1
            continue
        element_id, length = header >> 4, (header & 0x0F) + 1
        if element_id == 15:
            # Id 15 is reserved: processing stops (RFC 8285 section 4.2).
            return None
        value = extension[position + 1 : position + 1 + length]
        if element_id == wanted_id:
            return value if len(value) == length else None
        position += 1 + length
    return None


def _two_byte_value(extension: bytes, wanted_id: int) -> bytes | None:
    """Elements of an id byte, a length byte and 0 to 255 bytes of value (RFC 8285 section 4.3)."""
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
    """Return by how much a 16-bit sequence number is ahead of another: -32768 to 32767.

    Of the two directions around the circle of numbers the shorter one counts, as in RFC 1982.
    """
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(newer: int, older: int) -> int:
    """Return by how much a 32-bit RTP timestamp is ahead of another: -2^31 to 2^31 - 1."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000
