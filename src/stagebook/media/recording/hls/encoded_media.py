"""What an HLS writer takes: encoded pictures and sound on one timeline, which starts at 0 with the recording.

The timeline is in microseconds for pictures, and in samples of 48 kHz for sound, so that both are exact. A picture
lasts until the next one.
"""

from typing import Final

import msgspec

SAMPLES_PER_SECOND: Final = 48_000
"""The only sampling rate of a recording."""
FRAME_SAMPLES: Final = 1_024
"""The length of an AAC frame (ISO/IEC 14496-3 section 4.5.2.1)."""


class VideoFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder must know of the pictures before the first one: the parameter sets, without start codes."""

    sps: bytes
    pps: tuple[bytes, ...]


class SoundFormat(msgspec.Struct, frozen=True, kw_only=True):
    """AAC-LC at 48 kHz. `description` is the AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1)."""

    description: bytes
    channels: int = 2


class EncodedPicture(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One H.264 access unit in Annex B, in decoding order."""

    time_us: int
    """The presentation time."""
    body: bytes
    is_keyframe: bool
    decode_time_us: int | None = None
    """The decoding time, if it differs from the presentation time (B-frames). It grows strictly."""


class EncodedSound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One raw AAC frame of FRAME_SAMPLES samples, without an ADTS header."""

    time_samples: int
    """The presentation time of its first sample."""
    body: bytes


def samples_to_us(samples: int) -> int:
    """Convert a time in samples to microseconds, rounded down."""
    return samples * 1_000_000 // SAMPLES_PER_SECOND


def us_to_samples(time_us: int) -> int:
    """Convert a time in microseconds to the nearest sample."""
    return round(time_us * SAMPLES_PER_SECOND / 1_000_000)
