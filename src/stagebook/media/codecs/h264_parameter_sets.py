"""The parameter sets of an H.264 stream: kept, and supplied for keyframes that come without them.

A decoder needs the sequence parameter set (SPS) and the picture parameter sets (PPS) before the first slice (ITU-T
H.264 section 7.4.1.2.1). Browsers send them before every IDR frame. Other senders send them once at the start, or only
in the session description (`sprop-parameter-sets`, RFC 6184 section 8.1; GStreamer's rtph264pay by default). A viewer
that joins such a stream later would decode nothing.

`missing_before` takes every payload of a stream in the order of arrival and keeps the sets, of each id the newest. For
the first slice of an IDR frame that has not brought its sets it returns them as a payload of their own, to be sent just
before. So the stream that viewers get has them at every keyframe.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from stagebook.media.codecs import h264, h264_sps
from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.h264_nal import FU_A, FU_START, IDR_SLICE, PPS, REF_IDC_MASK, SPS, STAP_A, TYPE_MASK

MAX_PARAMETER_SETS_BYTES: Final = 1_000
"""Maximum size of all kept sets, so that one packet holds them. An SPS has about 30 bytes and a PPS 10. Beyond it, the
sets that were received first are dropped."""
_SPS_FIXED_BYTES = 4
"""The bytes of an SPS before its id: NAL unit header, profile, constraints, level."""
_MAX_ID_BYTES = 8
"""More than an id takes, which is a code of at most 17 bits."""


class ParameterSets:
    """The parameter sets of one stream (one SSRC)."""

    def __init__(self, signalled: str = "") -> None:
        """`signalled` is the value of `sprop-parameter-sets`: NAL units in base64, separated by commas."""
        self._size = (0, 0)
        self._unparsed_sps: bytes | None = None
        """The newest SPS, until `size` has parsed it."""
        self._sets: dict[tuple[int, int], bytes] = {}
        """NAL units by type and id, the one received first first."""
        self._size_bytes = 0
        """The size of all kept sets."""
        self._timestamp: int | None = None
        self._types_in_frame: set[int] = set()
        for unit in _decode_signalled(signalled):
            self.keep(unit)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels by the newest valid SPS; zeros without one.

        An SPS is parsed here and not when it arrives: it may take longer than everything else that is done for a
        packet, and a publisher may send twenty of them in each.
        """
        if self._unparsed_sps is not None:
            parameters = h264_sps.parse_sps(self._unparsed_sps)
            self._unparsed_sps = None
            self._size = self._size if parameters is None else (parameters.width, parameters.height)
        return self._size

    def missing_before(self, payload: bytes, timestamp: int) -> bytes | None:
        """Take an RTP payload. Return the payload to send before it, or None if nothing is missing or nothing is
        known."""
        nal_type = payload[0] & TYPE_MASK if payload else 0
        # Nearly all packets are slices or fragments of ordinary frames. They end here.
        if nal_type not in _RELEVANT_TYPES:
            return None
        if nal_type == FU_A and (payload[1:2] < _FU_FIRST or payload[1] & TYPE_MASK not in _RELEVANT_TYPES):
            return None
        if timestamp != self._timestamp:
            self._timestamp = timestamp
            self._types_in_frame.clear()
        for unit in h264.nal_units(payload):
            unit_type = unit[0] & TYPE_MASK
            if unit_type in (SPS, PPS):
                if nal_type != FU_A:
                    self.keep(unit)
                self._types_in_frame.add(unit_type)
            elif unit_type == IDR_SLICE:
                # A PPS without its SPS is sent again behind the SPS.
                missing = () if SPS in self._types_in_frame and PPS in self._types_in_frame else (SPS, PPS)
                self._types_in_frame.update((SPS, PPS))
                return self._aggregate(missing)
        return None

    def keep(self, unit: bytes) -> None:
        """Keep a parameter set in the place of the one with its id. Other NAL units are ignored."""
        key = _key(unit)
        if key is None or self._sets.get(key) == unit:
            return
        if key[0] == SPS:
            self._unparsed_sps = unit
        self._size_bytes += len(unit) - len(self._sets.pop(key, b""))
        self._sets[key] = unit
        while self._size_bytes > MAX_PARAMETER_SETS_BYTES:
            self._size_bytes -= len(self._sets.pop(next(iter(self._sets))))

    def units(self, types: tuple[int, ...] = (SPS, PPS)) -> list[bytes]:
        """The kept sets of these types, SPS first."""
        return [unit for wanted in types for (kept, _), unit in self._sets.items() if kept == wanted]

    def _aggregate(self, types: tuple[int, ...]) -> bytes | None:
        """Return the kept sets of these types, SPS first, as a STAP-A (RFC 6184 section 5.7.1)."""
        units = self.units(types)
        if not units:
            return None
        header = bytes([max(unit[0] & REF_IDC_MASK for unit in units) | STAP_A])
        return header + b"".join(len(unit).to_bytes(2) + unit for unit in units)


_FU_FIRST = bytes([FU_START])
"""An FU header below it belongs to a later fragment."""
_RELEVANT_TYPES = frozenset({IDR_SLICE, SPS, PPS, STAP_A, FU_A})


def _key(unit: bytes) -> tuple[int, int] | None:
    """Return the type and id of a parameter set: both begin with the id as ue(v), an SPS after three bytes (ITU-T H.264
    sections 7.3.2.1.1 and 7.3.2.2). None for another NAL unit or one without an id."""
    unit_type = unit[0] & TYPE_MASK if unit else 0
    if unit_type not in (SPS, PPS):
        return None
    start = _SPS_FIXED_BYTES if unit_type == SPS else 1
    try:
        return unit_type, BitReader(unit[start : start + _MAX_ID_BYTES]).unsigned()
    except OutOfBitsError:
        return None


def _decode_signalled(value: str) -> Iterator[bytes]:
    for encoded in value.split(","):
        try:
            yield base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            continue
