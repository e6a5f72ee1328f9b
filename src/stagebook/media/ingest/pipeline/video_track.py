"""One encoder's H.264, picture by picture: from FLV's form to RTP payloads, with the parameter sets in band.

Owns the parameter sets that are in force. Knows no time.
"""

import msgspec

from stagebook.media.codecs import avc, h264_nal
from stagebook.media.codecs.h264_packetizer import packetize, packetize_together

_KEPT = frozenset({h264_nal.NON_IDR_SLICE, h264_nal.IDR_SLICE, h264_nal.SEI})
"""What goes on. Delimiters, ends and filler say nothing in RTP, and our profiles have nothing else."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture's RTP payloads, at least one. A keyframe begins with its parameter sets."""

    is_keyframe: bool
    payloads: tuple[bytes, ...]


class VideoTrack:
    """Takes configurations and pictures in the order in which they come."""

    def __init__(self) -> None:
        self._length_size_bytes = 0
        self._sets: avc.ParameterSets = {}
        self._keyframe_start: tuple[bytes, ...] = ()

    @property
    def parameters(self) -> str | None:
        """The fmtp value for SDP (RFC 6184 section 8.1) with the profile of the first SPS in force, if there is one."""
        if not self._sets:
            return None
        profile = self._sets[min(self._sets)][1:4].hex()
        return f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"

    def configure(self, data: memoryview) -> None:
        """Take an AVCDecoderConfigurationRecord; it is in force from the next keyframe on. Raises InputFaultError."""
        configuration = avc.parse_decoder_configuration(data)
        self._length_size_bytes = configuration.length_size_bytes
        self._put_in_force(configuration.parameter_sets)

    def picture(self, data: memoryview) -> Picture | None:
        """Take one message of NAL units. None: there is no slice in it, or no configuration came yet.

        Raises InputFaultError.
        """
        if not self._sets:
            return None
        units = avc.split_nal_units(data, length_size_bytes=self._length_size_bytes)
        kinds = [unit[0] & h264_nal.TYPE_MASK for unit in units]
        changed = self._changed_sets(units, kinds)
        is_keyframe = h264_nal.IDR_SLICE in kinds
        if not is_keyframe and h264_nal.NON_IDR_SLICE not in kinds:
            return None
        payloads = [*(self._keyframe_start if is_keyframe else packetize_together(changed))]
        for unit, kind in zip(units, kinds, strict=True):
            if kind in _KEPT:
                payloads += packetize(unit)
        return Picture(is_keyframe=is_keyframe, payloads=tuple(payloads))

    def _changed_sets(self, units: list[memoryview], kinds: list[int]) -> list[bytes]:
        """The parameter sets among the units that are news; they are in force now."""
        if h264_nal.SPS not in kinds and h264_nal.PPS not in kinds:
            return []
        sets = [bytes(unit) for unit, kind in zip(units, kinds, strict=True) if kind in (h264_nal.SPS, h264_nal.PPS)]
        changed = [unit for unit in sets if self._sets.get(avc.parameter_set_key(unit)) != unit]
        if changed:
            merged = self._sets | {avc.parameter_set_key(unit): unit for unit in changed}
            avc.check_parameter_sets(merged)
            self._put_in_force(merged)
        return changed

    def _put_in_force(self, sets: avc.ParameterSets) -> None:
        self._sets = sets
        self._keyframe_start = tuple(packetize_together([sets[name] for name in sorted(sets)]))
