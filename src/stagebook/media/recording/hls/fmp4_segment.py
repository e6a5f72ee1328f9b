"""Media segments of fragmented MP4 (ISO/IEC 14496-12 section 8.8): one fragment with the samples of each track.

moof
  mfhd (sequence number)
  traf (one for each track: tfhd, tfdt with the decoding time of the first sample, trun with the samples)
mdat (the samples of the pictures, then those of the sound)
"""

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from stagebook.media.recording.hls.encoded_media import FRAME_SAMPLES, EncodedSound
from stagebook.media.recording.hls.fmp4_init import SOUND_TRACK, VIDEO_TRACK, box, full_box

_DEFAULT_BASE_IS_MOOF: Final = 0x020000
_DEFAULT_DURATION_AND_FLAGS: Final = 0x08 | 0x20
_INDEPENDENT: Final = 0x02000000
"""Sample flags: the sample depends on no other one."""
_DEPENDENT: Final = 0x01010000
"""Sample flags: the sample depends on others, and is no sync sample."""
_PICTURE_RUN: Final = 0x01 | 0x100 | 0x200 | 0x400 | 0x800
"""A data offset; duration, size, flags and composition time of each sample."""
_SOUND_RUN: Final = 0x01 | 0x200
"""A data offset; the size of each sample."""


class PictureSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A picture as a sample. Times are in ticks of the track."""

    decode_ticks: int
    duration_ticks: int
    composition_ticks: int
    """The presentation time minus the decoding time."""
    is_keyframe: bool
    body: bytes


def media_segment(number: int, pictures: Sequence[PictureSample], sounds: Sequence[EncodedSound]) -> bytes:
    """Return a media segment. A track without samples has no fragment. `number` grows from one segment to the next."""
    # The data offsets of the runs depend on the size of moof, which does not depend on their values.
    head_size = len(_movie_fragment(number, pictures, sounds, picture_offset=0, sound_offset=0))
    picture_offset = head_size + 8
    sound_offset = picture_offset + sum(len(picture.body) for picture in pictures)
    head = _movie_fragment(number, pictures, sounds, picture_offset=picture_offset, sound_offset=sound_offset)
    bodies = [picture.body for picture in pictures]
    bodies += [sound.body for sound in sounds]
    return head + box(b"mdat", *bodies)


def _movie_fragment(
    number: int,
    pictures: Sequence[PictureSample],
    sounds: Sequence[EncodedSound],
    *,
    picture_offset: int,
    sound_offset: int,
) -> bytes:
    tracks = []
    if pictures:
        tracks.append(_picture_track(pictures, picture_offset))
    if sounds:
        tracks.append(_sound_track(sounds, sound_offset))
    return box(b"moof", full_box(b"mfhd", 0, 0, number.to_bytes(4)), *tracks)


def _picture_track(pictures: Sequence[PictureSample], data_offset: int) -> bytes:
    header = full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, VIDEO_TRACK.to_bytes(4))
    time = full_box(b"tfdt", 1, 0, pictures[0].decode_ticks.to_bytes(8))
    run = b"".join(
        struct.pack(
            ">IIIi",
            picture.duration_ticks,
            len(picture.body),
            _INDEPENDENT if picture.is_keyframe else _DEPENDENT,
            picture.composition_ticks,
        )
        for picture in pictures
    )
    return box(
        b"traf", header, time, full_box(b"trun", 1, _PICTURE_RUN, struct.pack(">II", len(pictures), data_offset), run)
    )


def _sound_track(sounds: Sequence[EncodedSound], data_offset: int) -> bytes:
    defaults = struct.pack(">III", SOUND_TRACK, FRAME_SAMPLES, _INDEPENDENT)
    header = full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF | _DEFAULT_DURATION_AND_FLAGS, defaults)
    time = full_box(b"tfdt", 1, 0, sounds[0].time_samples.to_bytes(8))
    sizes = b"".join(len(sound.body).to_bytes(4) for sound in sounds)
    return box(
        b"traf", header, time, full_box(b"trun", 1, _SOUND_RUN, struct.pack(">II", len(sounds), data_offset), sizes)
    )
