"""RTP packets for tests: a header, and the beginning of a payload, which is all that the forwarder inspects."""

from collections.abc import Sequence

from stagebook.media.rtc.rtp.rtp_packet import HEADER


def rtp(
    payload: bytes = b"x",
    *,
    payload_type: int = 96,
    sequence: int = 1,
    timestamp: int = 0,
    ssrc: int = 1,
    marker: bool = False,
    extension: bytes = b"",
) -> bytes:
    """Return an RTP packet. `extension` is a whole header extension block."""
    flags = 0x90 if extension else 0x80
    return (
        HEADER.pack(flags, marker << 7 | payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        + extension
        + payload
    )


def one_byte_extension(elements: dict[int, bytes]) -> bytes:
    """Return a header extension block of one-byte elements (RFC 8285 section 4.2)."""
    body = b"".join(bytes([element_id << 4 | len(value) - 1]) + value for element_id, value in elements.items())
    body += bytes(-len(body) % 4)
    return b"\xbe\xde" + (len(body) // 4).to_bytes(2, "big") + body


def vp8_keyframe(width: int = 640, height: int = 360, *, filler: int = 0) -> bytes:
    """Return the first payload of a VP8 keyframe (RFC 7741, RFC 6386 section 9.1), followed by `filler` zero bytes."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return b"\x10" + b"\x10\x00\x00" + b"\x9d\x01\x2a" + size + bytes(filler)


def vp8_delta(filler: int = 0) -> bytes:
    """Return the first payload of a VP8 frame that is not a keyframe."""
    return b"\x10" + b"\x11\x00\x00" + bytes(4 + filler)


def vp8_descriptor(
    *, picture_id: int, tl0: int, temporal_id: int, is_sync: bool, starts_frame: bool = True, is_long: bool = True
) -> bytes:
    """Return a VP8 payload descriptor with all fields (RFC 7741 section 4.2)."""
    picture = (picture_id & 0x7FFF | 0x8000).to_bytes(2, "big") if is_long else bytes([picture_id & 0x7F])
    layer = temporal_id << 6 | is_sync << 5
    return bytes([0x80 | starts_frame << 4, 0xE0]) + picture + bytes([tl0 & 0xFF, layer])


def red(own: bytes, repeated: Sequence[tuple[int, bytes]] = (), *, payload_type: int = 111) -> bytes:
    """Return a RED payload (RFC 2198) with repeated frames, each with its timestamp offset, and its own frame."""
    headers = b"".join(
        bytes([0x80 | payload_type]) + (offset << 10 | len(frame)).to_bytes(3, "big") for offset, frame in repeated
    )
    return headers + bytes([payload_type]) + b"".join(frame for _, frame in repeated) + own
