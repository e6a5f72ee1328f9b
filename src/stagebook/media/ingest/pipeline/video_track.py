"""One encoder's H.264: from the NAL units of an RTMP message to RTP payloads.

FLV carries the parameter sets (SPS and PPS) out of band, in a configuration record. A viewer may join at any keyframe,
so the track sends the current parameter sets in band at the start of each keyframe. An encoder may send parameter sets
in band as well. They replace those of the same type and id, and only changed ones are sent between keyframes.
"""

import msgspec

from stagebook.media.codecs import avc, h264_nal
from stagebook.media.codecs.h264_packetizer import packetize, packetize_together

_FORWARDED_TYPES = frozenset({h264_nal.NON_IDR_SLICE, h264_nal.IDR_SLICE, h264_nal.SEI})
"""NAL unit types that are forwarded. Delimiters, end markers and filler data have no use in RTP, and the accepted
profiles (Baseline, Main, High) have no other types that a decoder needs."""


class VideoFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The RTP payloads of one frame, at least one. A keyframe begins with its parameter sets."""

    is_keyframe: bool
    payloads: tuple[bytes, ...]


class VideoTrack:
    """Processes configurations and frames in the order in which they arrive."""

    def __init__(self) -> None:
        self._length_size_bytes = 0
        self._parameter_sets: avc.ParameterSets = {}
        self._keyframe_start: tuple[bytes, ...] = ()
        """The payloads of the current parameter sets."""

    @property
    def parameters(self) -> str | None:
        """The fmtp value for SDP (RFC 6184 section 8.1) with the profile of the first SPS. None without an SPS."""
        if not self._parameter_sets:
            return None
        profile = self._parameter_sets[min(self._parameter_sets)][1:4].hex()
        return f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"

    def configure(self, data: memoryview) -> None:
        """Apply an AVCDecoderConfigurationRecord. Its parameter sets are sent with the next keyframe.

        Raises InputFaultError.
        """
        configuration = avc.parse_decoder_configuration(data)
        self._length_size_bytes = configuration.length_size_bytes
        self._set_parameter_sets(configuration.parameter_sets)

    def packetize(self, data: memoryview) -> VideoFrame | None:
        """Packetize the NAL units of one message.

        Returns None for a message without a slice, or before the first configuration. Raises InputFaultError.
        """
        if not self._parameter_sets:
            return None
        units = avc.split_nal_units(data, length_size_bytes=self._length_size_bytes)
        types = [unit[0] & h264_nal.TYPE_MASK for unit in units]
        changed = self._update_parameter_sets(units, types)
        is_keyframe = h264_nal.IDR_SLICE in types
        if not is_keyframe and h264_nal.NON_IDR_SLICE not in types:
            return None
        payloads = [*(self._keyframe_start if is_keyframe else packetize_together(changed))]
        for unit, nal_type in zip(units, types, strict=True):
            if nal_type in _FORWARDED_TYPES:
                payloads += packetize(unit)
        return VideoFrame(is_keyframe=is_keyframe, payloads=tuple(payloads))

    def _update_parameter_sets(self, units: list[memoryview], types: list[int]) -> list[bytes]:
        """Apply the parameter sets among the units. Returns those that differ from the current ones."""
        if h264_nal.SPS not in types and h264_nal.PPS not in types:
            return []
        received = [
            bytes(unit) for unit, nal_type in zip(units, types, strict=True) if nal_type in (h264_nal.SPS, h264_nal.PPS)
        ]
        changed = [unit for unit in received if self._parameter_sets.get(avc.parameter_set_key(unit)) != unit]
        if changed:
            merged = self._parameter_sets | {avc.parameter_set_key(unit): unit for unit in changed}
            avc.check_parameter_sets(merged)
            self._set_parameter_sets(merged)
        return changed

    def _set_parameter_sets(self, sets: avc.ParameterSets) -> None:
        self._parameter_sets = sets
        # Sorted by NAL unit type: an SPS (7) comes before the PPS (8) that refer to it.
        self._keyframe_start = tuple(packetize_together([sets[key] for key in sorted(sets)]))
