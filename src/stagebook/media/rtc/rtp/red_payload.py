"""Audio with redundancy (RED, RFC 2198): a packet repeats the frames of the packets before it.

The payload begins with a header of four bytes for each repeated frame, the oldest first: a bit that says that another
header follows, the payload type (7 bits), by how much the frame's timestamp is behind that of the packet (14 bits) and
its length (10 bits). One byte with the payload type of the packet's own frame ends the headers. The frames follow in
the same order.

The repeated frames have no sequence numbers. Senders put exactly the frames of the packets just before into a packet
(libwebrtc's AudioEncoderCopyRed), so the last repeated frame belongs to the number before, and so on.
"""

from collections.abc import Sequence
from typing import NamedTuple

MAX_REPEATED_FRAMES = 8
"""The repeated frames of a packet that are read. Chromium sends one, or two if a page sets it so."""
_HEADER_SIZE_BYTES = 4


_MAX_OFFSET = 0x3FFF
_MAX_SIZE_BYTES = 0x3FF
MAX_PAYLOAD_SIZE_BYTES = 1100
"""A payload with repeated frames is not larger: with its headers it still fits into a datagram of any path."""


class RepeatedFrame(NamedTuple):
    """The frame of an earlier packet."""

    packets_before: int
    """How many sequence numbers before the packet."""
    timestamp_offset: int
    """How far its timestamp is behind that of the packet, in units of the clock."""
    payload: bytes


class RedundantAudio(NamedTuple):
    """What one RED packet holds."""

    payload: bytes
    """The packet's own frame."""
    repeated: tuple[RepeatedFrame, ...]
    """The oldest first."""


def unpack_red(payload: bytes, payload_type: int) -> RedundantAudio | None:
    """Read a RED payload whose frames have this payload type. Never raises.

    Returns None if the payload is malformed, has more than MAX_REPEATED_FRAMES or a frame of another type. Empty frames
    are left out.
    """
    headers: list[tuple[int, int]] = []
    position = 0
    while position < len(payload) and payload[position] & 0x80:
        header = payload[position : position + _HEADER_SIZE_BYTES]
        if len(header) < _HEADER_SIZE_BYTES or header[0] & 0x7F != payload_type or len(headers) == MAX_REPEATED_FRAMES:
            return None
        headers.append((header[1] << 6 | header[2] >> 2, (header[2] & 0x03) << 8 | header[3]))
        position += _HEADER_SIZE_BYTES
    if position >= len(payload) or payload[position] != payload_type:
        return None
    position += 1
    repeated = []
    for index, (offset, size) in enumerate(headers):
        frame = payload[position : position + size]
        if len(frame) < size:
            return None
        if frame:
            repeated.append(RepeatedFrame(len(headers) - index, offset, frame))
        position += size
    return RedundantAudio(payload[position:], tuple(repeated))


def pack_red(payload: bytes, payload_type: int, repeated: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """Return a RED payload of a frame and of frames before it, the oldest first, where its headers can describe them.

    `repeated` has for each of them by how much its timestamp is behind, in units of the clock, and the frame. The
    newest ones are repeated as far as there is room for them (MAX_PAYLOAD_SIZE_BYTES).
    """
    heads, frames = b"", b""
    room_bytes = MAX_PAYLOAD_SIZE_BYTES - 1 - len(payload)
    for elapsed, frame in reversed(repeated):
        room_bytes -= _HEADER_SIZE_BYTES + len(frame)
        if room_bytes < 0 or not frame or not 0 < elapsed <= _MAX_OFFSET or len(frame) > _MAX_SIZE_BYTES:
            # Without this frame, receivers would take an older one for it.
            break
        head = (0x80 | payload_type) << 24 | elapsed << 10 | len(frame)
        heads = head.to_bytes(4, "big") + heads
        frames = frame + frames
    return heads + bytes([payload_type]) + frames + payload
