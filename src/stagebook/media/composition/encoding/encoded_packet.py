"""What the outputs of a composition take."""

from typing import TypeAlias

import msgspec

from stagebook.media.recording.hls.encoded_media import EncodedPicture, EncodedSound

EncodedPacket: TypeAlias = EncodedPicture | EncodedSound
"""Each on the timeline of the composition, which starts at 0. There are no B-frames. A keyframe is an IDR picture and
begins with its SPS and PPS. The time of the first sound is negative: it only prepares the decoder."""


class StreamFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What an output says about the stream before the first packet."""

    width: int
    height: int
    frames_per_second: float
    video_bitrate_bps: int
    audio_bitrate_bps: int
    audio_description: bytes
    """The AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1)."""
