"""H.264 NAL units to RTP payloads in packetization mode 1 (RFC 6184 section 6.3).

A NAL unit that fits is a payload as it is (single NAL unit packet, section 5.6), a larger one is cut into FU-A
fragments (section 5.8), and the small parameter sets of a keyframe share one STAP-A (section 5.7.1).
"""

from collections.abc import Iterator, Sequence

from stagebook.media.codecs.h264_nal import FU_A, FU_END, FU_START, REF_IDC_MASK, STAP_A, TYPE_MASK

MAX_PAYLOAD_BYTES = 1_200
"""With the headers of RTP, SRTP, UDP and IPv6, a packet is smaller than 1,280 bytes, the minimum MTU of IPv6
(RFC 8200 section 5)."""

_FU_HEADERS_BYTES = 2
_SIZE_FIELD_BYTES = 2


def packetize(unit: bytes | memoryview) -> Iterator[bytes]:
    """Yield the payloads of one NAL unit, which begins with its header: one payload, or its FU-A fragments.

    The fragments are of maximum size except the last one. The NAL unit's header is not repeated in them: its bits are
    in the FU indicator and the FU header, from which the receiver restores it.
    """
    if len(unit) <= MAX_PAYLOAD_BYTES:
        yield bytes(unit)
        return
    # The FU indicator has the F and NRI bits of the NAL unit header, the FU header its type.
    indicator = unit[0] & ~TYPE_MASK | FU_A
    nal_type = unit[0] & TYPE_MASK
    max_fragment_bytes = MAX_PAYLOAD_BYTES - _FU_HEADERS_BYTES
    # From this position on, the rest fits into the last fragment, which alone has the end bit.
    last_start = len(unit) - max_fragment_bytes
    position = 1 + max_fragment_bytes
    yield bytes((indicator, FU_START | nal_type)) + unit[1:position]
    headers = bytes((indicator, nal_type))
    while position < last_start:
        yield headers + unit[position : position + max_fragment_bytes]
        position += max_fragment_bytes
    yield bytes((indicator, FU_END | nal_type)) + unit[position:]


def packetize_together(units: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the payloads of several NAL units of one frame: one STAP-A if they fit, otherwise as `packetize`."""
    if not units:
        return
    if 1 + sum(_SIZE_FIELD_BYTES + len(unit) for unit in units) > MAX_PAYLOAD_BYTES:
        for unit in units:
            yield from packetize(unit)
        return
    # The NRI of a STAP-A is the highest one of its NAL units (section 5.7).
    ref_idc = max(unit[0] & REF_IDC_MASK for unit in units)
    sized = (len(unit).to_bytes(_SIZE_FIELD_BYTES) + unit for unit in units)
    yield bytes((ref_idc | STAP_A,)) + b"".join(sized)
