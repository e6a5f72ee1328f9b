"""The H.264 NAL unit header and the NAL unit types that Stagebook reads or writes.

    +---------------+
    |0|1|2|3|4|5|6|7|    F     forbidden_zero_bit
    +-+-+-+-+-+-+-+-+    NRI   nal_ref_idc: 0 if no other frame refers to the unit
    |F|NRI|  Type   |    Type  nal_unit_type
    +---------------+

ITU-T H.264 section 7.4.1 defines types 1 to 23 (table 7-1). RFC 6184 section 5.2 adds types 24 to 31 for RTP payloads
that hold several NAL units or a part of one.
"""

from typing import Final

FORBIDDEN_ZERO_BIT: Final = 0x80
REF_IDC_MASK: Final = 0x60
TYPE_MASK: Final = 0x1F

NON_IDR_SLICE: Final = 1
IDR_SLICE: Final = 5
SEI: Final = 6
SPS: Final = 7
PPS: Final = 8
PREFIX: Final = 14
"""Prefix NAL unit: it gives the following slice the header of SVC, with its temporal layer (H.264 annex G)."""

STAP_A: Final = 24
"""Single-time aggregation packet: several NAL units of one frame, each after its 16-bit size (RFC 6184, 5.7.1)."""
FU_A: Final = 28
"""Fragmentation unit: an FU indicator, an FU header and a part of one NAL unit (RFC 6184, 5.8)."""

FU_START: Final = 0x80
"""The S bit of the FU header: the first fragment. The FU header's lower bits are the type of the NAL unit."""
FU_END: Final = 0x40
"""The E bit of the FU header: the last fragment."""
