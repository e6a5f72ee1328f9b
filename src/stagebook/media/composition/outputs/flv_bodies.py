"""The payloads of the messages that carry H.264 and AAC ("Adobe Flash Video File Format Specification", annex E.4).

    audio   AF 00 AudioSpecificConfig                    AF 01 raw AAC frame
    video   17 00 000000 AVCDecoderConfigurationRecord   17 or 27, 01 000000, NAL units behind their lengths

There are no B-frames, so the composition time, three bytes of the video header, is 0.
"""

from typing import Final

from stagebook.media.recording.hls.access_unit import decoder_configuration, length_prefixed, video_format

_KEYFRAME = 0x17
_INTER_FRAME = 0x27
_AAC: Final = 0xAF
"""AAC; the rate, the sample size and the channels are fixed for it."""


def audio_header(description: bytes) -> bytes:
    """The first audio message: an AudioSpecificConfig."""
    return bytes([_AAC, 0]) + description


def audio_body(frame: bytes) -> bytes:
    """A raw AAC frame."""
    return bytes([_AAC, 1]) + frame


def video_header(access_unit: bytes) -> bytes:
    """The first video message: the configuration record (ISO/IEC 14496-15, 5.3.3.1), from an access unit in Annex B
    with an SPS and a PPS. Raises ValueError without them."""
    video = video_format(access_unit)
    if video is None:
        raise ValueError("the access unit has no parameter sets")
    return bytes([_KEYFRAME, 0, 0, 0, 0]) + decoder_configuration(video)


def video_body(access_unit: bytes, *, is_keyframe: bool) -> bytes:
    """An access unit in Annex B."""
    header = bytes([_KEYFRAME if is_keyframe else _INTER_FRAME, 1, 0, 0, 0])
    return header + length_prefixed(access_unit)
