"""One encoder's H.264: from the NAL units of an RTMP message to RTP payloads.

FLV carries the parameter sets (SPS and PPS) out of band, in a configuration record. A viewer may join at any keyframe,
so the track sends the current parameter sets in band at the start of each keyframe. An encoder may send parameter sets
in band as well. They replace those of the same type and id, and only changed ones are sent between keyframes. A byte
stream (`annex_b`) may have all its parameter sets in band and no record.

A message that cannot be read is damage: frames after it refer to frames that are missing. The track then drops messages
until the next keyframe (`drop_until_keyframe`), which needs no other frame. One damaged frame in hours is invisible
beyond that; a stream that is damaged all the time ends with INVALID_INPUT. So does one without a keyframe for
MAX_DROPPED_FRAMES: the encoder connects again, and begins with a keyframe.
"""

from collections import deque
from typing import Final

import msgspec

from stagebook.media.codecs import avc, h264, h264_nal
from stagebook.media.codecs.annex_b import begins_with_start_code
from stagebook.media.codecs.h264_packetizer import packetize, packetize_together
from stagebook.media.codecs.input_fault import invalid_input

MAX_DAMAGED_MESSAGES: Final = 30
DAMAGED_MESSAGES_WINDOW: Final = 300
"""In messages: ten seconds at 30 frames per second. A tenth of them damaged means that viewers see no useful video."""
MAX_DROPPED_FRAMES: Final = 900
"""30 seconds at 30 frames per second; keyframes are required every two seconds."""

_FORWARDED_TYPES = frozenset({h264_nal.NON_IDR_SLICE, h264_nal.IDR_SLICE, h264_nal.SEI})
"""NAL unit types that are forwarded. Delimiters, end markers and filler data have no use in RTP, and the accepted
profiles (Baseline, Main, High) have no other types that a decoder needs."""
_SLICE_TYPES = frozenset({h264_nal.NON_IDR_SLICE, h264_nal.IDR_SLICE})


class VideoFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The RTP payloads of one message with slices, at least one. A keyframe begins with its parameter sets.

    With `is_continuation`, the slices belong to the frame that began in an earlier message, and `is_keyframe` is False.
    """

    is_keyframe: bool
    payloads: tuple[bytes, ...]
    is_continuation: bool = False


class VideoTrack:
    """Processes configurations and frames in the order in which they arrive."""

    def __init__(self) -> None:
        self._length_size_bytes = 4
        """The usual one, until a configuration says otherwise."""
        self._parameter_sets: avc.ParameterSets = {}
        self._keyframe_start: tuple[bytes, ...] = ()
        """The payloads of the current parameter sets."""
        self._changed_sets: avc.ParameterSets = {}
        """Parameter sets that came in a message without a slice and are to be sent with the next frame."""
        self._first_sets: avc.ParameterSets = {}
        """Parameter sets of a byte stream before both types have come."""
        self._drops_until_keyframe = False
        self._dropped_frames = 0
        """Since the latest damage."""
        self._messages = 0
        self.damaged_messages = 0
        self._damaged_messages: deque[int] = deque(maxlen=MAX_DAMAGED_MESSAGES)
        """The numbers of the latest damaged messages."""

    @property
    def is_configured(self) -> bool:
        """Whether an SPS and a PPS have been received."""
        return bool(self._parameter_sets)

    @property
    def parameters(self) -> str | None:
        """The fmtp value for SDP (RFC 6184 section 8.1) with the profile of the first SPS. None without an SPS."""
        if not self._parameter_sets:
            return None
        profile = self._parameter_sets[min(self._parameter_sets)][1:4].hex()
        return f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"

    def configure(self, data: memoryview) -> None:
        """Apply an AVCDecoderConfigurationRecord, or a byte stream of parameter sets. They are sent with the next
        keyframe.

        Raises InputFaultError. The current configuration is then kept.
        """
        configuration = avc.parse_decoder_configuration(data)
        self._length_size_bytes = configuration.length_size_bytes
        self._set_parameter_sets(configuration.parameter_sets)

    def packetize(self, data: memoryview) -> VideoFrame | None:
        """Packetize the NAL units of one message.

        Returns None for a message without a slice, before the first configuration, and while messages are dropped.
        Raises InputFaultError; if its fault is INPUT, the caller may continue with `drop_until_keyframe`.
        """
        self._messages += 1
        if not self._parameter_sets and not begins_with_start_code(data):
            return None
        units = avc.split_nal_units(data, length_size_bytes=self._length_size_bytes)
        types = [unit[0] & h264_nal.TYPE_MASK for unit in units]
        self._changed_sets |= self._update_parameter_sets(units, types)
        first_slice = next(
            (unit for unit, nal_type in zip(units, types, strict=True) if nal_type in _SLICE_TYPES), None
        )
        if first_slice is None or not self._parameter_sets:
            return None
        is_continuation = not h264.is_first_slice(first_slice)
        is_keyframe = h264_nal.IDR_SLICE in types and not is_continuation
        # Parameter sets above are applied while frames are dropped: the next keyframe may refer to them.
        if self._drops_until_keyframe and not is_keyframe:
            self._dropped_frames += not is_continuation
            return None
        self._drops_until_keyframe = False
        self._dropped_frames = 0
        payloads = [*(self._keyframe_start if is_keyframe else packetize_together([*self._changed_sets.values()]))]
        self._changed_sets = {}
        for unit, nal_type in zip(units, types, strict=True):
            if nal_type in _FORWARDED_TYPES:
                payloads += packetize(unit)
        return VideoFrame(is_keyframe=is_keyframe, payloads=tuple(payloads), is_continuation=is_continuation)

    def drop_until_keyframe(self, detail: str) -> None:
        """Count a damaged message, and drop messages until the next keyframe. `detail` says what is damaged.

        Raises InputFaultError (INPUT) for MAX_DAMAGED_MESSAGES within DAMAGED_MESSAGES_WINDOW messages.
        """
        self._drops_until_keyframe = True
        self.damaged_messages += 1
        self._damaged_messages.append(self._messages)
        window = self._messages - self._damaged_messages[0]
        if len(self._damaged_messages) == MAX_DAMAGED_MESSAGES and window < DAMAGED_MESSAGES_WINDOW:
            raise invalid_input(
                f"{MAX_DAMAGED_MESSAGES} of {window + 1} video messages are malformed; of the last one: {detail}"
            )

    def check_recovery(self) -> None:
        """Raises InputFaultError (INPUT) if no keyframe has come since the latest damage for too long."""
        if self._dropped_frames > MAX_DROPPED_FRAMES:
            raise invalid_input(f"no keyframe came in {MAX_DROPPED_FRAMES} frames after a malformed video message")

    def _update_parameter_sets(self, units: list[memoryview], types: list[int]) -> avc.ParameterSets:
        """Apply the parameter sets among the units. Returns those that differ from the current ones."""
        if h264_nal.SPS not in types and h264_nal.PPS not in types:
            return {}
        received = {avc.parameter_set_key(unit): unit for unit in map(bytes, units) if avc.is_parameter_set(unit)}
        changed = {key: unit for key, unit in received.items() if self._parameter_sets.get(key) != unit}
        if not changed:
            return {}
        merged = self._parameter_sets | self._first_sets | changed
        if not self._parameter_sets and len({nal_type for nal_type, _ in merged}) == 1:
            # The SPS and the PPS of a byte stream may come in two messages.
            avc.check_parameter_sets_size(merged)
            self._first_sets = merged
            return {}
        avc.check_parameter_sets(merged)
        self._set_parameter_sets(merged)
        self._first_sets = {}
        return changed

    def _set_parameter_sets(self, sets: avc.ParameterSets) -> None:
        self._parameter_sets = sets
        # Sorted by NAL unit type: an SPS (7) comes before the PPS (8) that refer to it.
        self._keyframe_start = tuple(packetize_together([sets[key] for key in sorted(sets)]))
