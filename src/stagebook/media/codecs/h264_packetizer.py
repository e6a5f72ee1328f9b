"""NAL units to RTP payloads (RFC 6184, packetization mode 1): as they are, in one STAP-A, or in FU-A pieces."""

from collections.abc import Iterator, Sequence

MAX_PAYLOAD_BYTES = 1_200
"""With RTP, SRTP, UDP and IPv6 headers a packet stays below 1,280 bytes, which every IPv6 path carries."""

_TYPE = 0x1F
_IMPORTANCE = 0x60
_STAP_A = 24
_FU_A = 28
_FU_START = 0x80
_FU_END = 0x40


def packetize(unit: bytes | memoryview) -> Iterator[bytes]:
    """The payloads of one NAL unit: itself, or FU-A pieces if it is too large (section 5.8)."""
    if len(unit) <= MAX_PAYLOAD_BYTES:
        yield bytes(unit)
        return
    header = unit[0]
    indicator = header & ~_TYPE | _FU_A
    kind = header & _TYPE
    room = MAX_PAYLOAD_BYTES - 2
    end = len(unit) - room
    yield bytes((indicator, _FU_START | kind)) + unit[1 : 1 + room]
    middle = bytes((indicator, kind))
    position = 1 + room
    while position < end:
        yield middle + unit[position : position + room]
        position += room
    yield bytes((indicator, _FU_END | kind)) + unit[position:]


def packetize_together(units: Sequence[bytes]) -> Iterator[bytes]:
    """The payloads of several small NAL units: one STAP-A (section 5.7.1) if they fit, else each by itself."""
    if not units:
        return
    if 1 + sum(2 + len(unit) for unit in units) > MAX_PAYLOAD_BYTES:
        for unit in units:
            yield from packetize(unit)
        return
    importance = max(unit[0] & _IMPORTANCE for unit in units)
    yield bytes((importance | _STAP_A,)) + b"".join(len(unit).to_bytes(2) + unit for unit in units)
