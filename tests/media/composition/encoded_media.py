"""Media of a composition for tests: pictures, and what its encoders make of them."""

import av
import numpy as np

from stagebook.media.composition.composition_port import CanvasSettings
from stagebook.media.composition.encoding.encoded_packet import EncodedPacket, StreamFormat
from stagebook.media.composition.encoding.picture_encoder import PictureEncoder, keyframe_interval_seconds
from stagebook.media.composition.encoding.sound_encoder import AUDIO_BITRATE_BPS, FRAME_SAMPLES, SoundEncoder

CANVAS = CanvasSettings(width=320, height=180, frames_per_second=30, bitrate_bps=300_000)


def picture(number: int, *, width: int = CANVAS.width, height: int = CANVAS.height) -> av.VideoFrame:
    """A grey picture whose brightness says its number."""
    grey = np.full((height, width), number % 200 + 20, np.uint8)
    return av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")


def stream_format(canvas: CanvasSettings = CANVAS) -> StreamFormat:
    """The format of what `packets` returns."""
    return StreamFormat(
        width=canvas.width,
        height=canvas.height,
        frames_per_second=canvas.frames_per_second,
        video_bitrate_bps=canvas.bitrate_bps,
        audio_bitrate_bps=AUDIO_BITRATE_BPS,
        audio_description=SoundEncoder().description,
    )


def packets(pictures: int, *, canvas: CanvasSettings = CANVAS) -> list[EncodedPacket]:
    """Encode pictures with silence."""
    encoder, sound = PictureEncoder(canvas, keyframe_interval=keyframe_interval_seconds(2)), SoundEncoder()
    silence = np.zeros((2, FRAME_SAMPLES), np.float32)
    made: list[EncodedPacket] = []
    samples = 0
    for number in range(pictures):
        while (samples + FRAME_SAMPLES) * canvas.frames_per_second <= number * 48_000:
            made += sound.encode(silence)
            samples += FRAME_SAMPLES
        made += encoder.encode(picture(number, width=canvas.width, height=canvas.height), number=number)
    return made
