"""H.264 access units from RTP payloads in packetization mode 1 (RFC 6184), in Annex B.

A payload is a NAL unit (section 5.6), several in a STAP-A (section 5.7.1), or a part of one in an FU-A (section 5.8).
The NAL units with one timestamp are an access unit, and the marker bit is on its last packet (section 5.1). Some
senders set the marker on the parameter sets as well, and some never: an access unit without a slice goes on, and the
next timestamp ends one, too.

Each keyframe begins with its SPS and PPS. If it comes without them, those that came before are put in front, also those
of the session description. Delimiters and filler data are left out: they have no use in a file.
"""

from collections.abc import Sequence
from typing import Final

from stagebook.media.codecs import h264
from stagebook.media.codecs.h264_nal import (
    FU_A,
    FU_END,
    FU_START,
    IDR_SLICE,
    NON_IDR_SLICE,
    PPS,
    SPS,
    STAP_A,
    TYPE_MASK,
)
from stagebook.media.codecs.h264_parameter_sets import ParameterSets
from stagebook.media.tap.frame_builder import MAX_FRAME_BYTES, BuiltFrame
from stagebook.media.tap.packet_order import MediaPacket

_START_CODE: Final = b"\0\0\0\1"
_SLICES: Final = range(NON_IDR_SLICE, IDR_SLICE + 1)
_LEFT_OUT: Final = frozenset({9, 10, 11, 12})
"""Access unit delimiter, end of sequence, end of stream, filler data (ITU-T H.264 table 7-1)."""
_FU_HEADERS_BYTES: Final = 2


class AccessUnitBuilder:
    """Makes access units of one stream."""

    def __init__(self, signalled: str = "") -> None:
        """`signalled` is the value of `sprop-parameter-sets` (RFC 6184 section 8.1)."""
        self.waits_for_keyframe = True
        self._known = ParameterSets(signalled)
        self._sps = b""
        """The SPS of the last keyframe."""
        self._brings_sets = False
        """Whether the last keyframe came with its parameter sets."""
        self._follows_loss = False
        self._timestamp: int | None = None
        self._is_collecting = False
        """Whether the access unit with that timestamp is wanted."""
        self._reset()

    def _reset(self) -> None:
        self._sets: list[bytes] = []
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size_bytes = 0
        self._slice_type: h264.SliceType | None = None
        self._has_slice = self._has_idr = False

    @property
    def is_building(self) -> bool:
        """Whether a frame has begun."""
        return self._is_collecting and self._size_bytes > 0

    def lose(self) -> None:
        """Packets are missing: go on with the next keyframe."""
        self._reset()
        self.waits_for_keyframe = self._follows_loss = True
        self._is_collecting = False

    def add(self, packet: MediaPacket) -> Sequence[BuiltFrame]:
        """Take the next packet. Returns the access units that are complete: at most two, without and with a marker."""
        payload = packet.payload
        if not payload:
            return ()
        done: Sequence[BuiltFrame] = ()
        if packet.timestamp != self._timestamp:
            done = self._finish()
            self._reset()
            self._timestamp = packet.timestamp
            self._is_collecting = not self.waits_for_keyframe
        if not self._is_collecting:
            if not h264.starts_keyframe(payload):
                return done
            self._is_collecting = True
        if not self._add_payload(payload):
            self.lose()
        elif packet.marker and self._has_slice:
            done = (*done, *self._finish())
            self._reset()
        return done

    def _add_payload(self, payload: bytes) -> bool:
        """Add the NAL units of a payload. False if it is malformed."""
        nal_type = payload[0] & TYPE_MASK
        self._size_bytes += len(payload)
        if self._size_bytes > MAX_FRAME_BYTES:
            return False
        if nal_type == FU_A:
            return self._add_fragment(payload)
        if self._fragments or not 1 <= nal_type <= STAP_A:
            return False
        if nal_type == STAP_A:
            for unit in h264.nal_units(payload):
                self._add_unit(unit)
        else:
            self._add_unit(payload)
        return True

    def _add_fragment(self, payload: bytes) -> bool:
        if len(payload) <= _FU_HEADERS_BYTES:
            return False
        header = payload[1]
        if header & FU_START:
            if self._fragments:
                return False
            self._fragments.append(bytes((payload[0] & ~TYPE_MASK | header & TYPE_MASK,)))
        elif not self._fragments:
            return False
        self._fragments.append(payload[_FU_HEADERS_BYTES:])
        if header & FU_END:
            unit = b"".join(self._fragments)
            self._fragments = []
            self._add_unit(unit)
        return True

    def _add_unit(self, unit: bytes) -> None:
        nal_type = unit[0] & TYPE_MASK
        if nal_type in (SPS, PPS):
            self._known.keep(unit)
            self._sets.append(unit)
            return
        if nal_type in _LEFT_OUT:
            return
        if nal_type in _SLICES:
            self._has_slice = True
            self._has_idr |= nal_type == IDR_SLICE
            self._slice_type = self._slice_type or h264.slice_type(unit)
        self._units.append(unit)

    def _finish(self) -> Sequence[BuiltFrame]:
        """Return the access unit that was collected, if there is one that can be decoded."""
        if not self._has_slice or self._timestamp is None:
            return ()
        if self._fragments:
            self.lose()
            return ()
        types = {unit[0] & TYPE_MASK for unit in self._sets}
        # Some encoders begin a sequence with an I picture that is no IDR picture.
        is_keyframe = self._has_idr or (SPS in types and self._slice_type is h264.SliceType.I)
        sets = self._sets
        if is_keyframe:
            if types != {SPS, PPS}:
                sets = self._known.units()
                # The lost packets may have held newer sets.
                if not sets or (self._brings_sets and self._follows_loss):
                    self.lose()
                    return ()
            self._brings_sets = types == {SPS, PPS}
            self.waits_for_keyframe = self._follows_loss = False
            self._sps = next((unit for unit in sets if unit[0] & TYPE_MASK == SPS), b"")
        elif self.waits_for_keyframe:
            self._is_collecting = False
            return ()
        body = _START_CODE + _START_CODE.join((*sets, *self._units))
        width, height = self._known.size
        return (BuiltFrame(self._timestamp, body, is_keyframe, height, self._sps, width),)
