"""The AAC encoder of a composition, FFmpeg's own (PyAV).

The encoder needs one frame to prepare its decoder (ISO/IEC 14496-3, 4.B.5.4): the first packet has the time of minus
one frame, and a player does not present it.
"""

from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from stagebook.media.recording.hls.encoded_media import SAMPLES_PER_SECOND, EncodedSound

FRAME_SAMPLES: Final = 1_024
"""Samples of each channel in a frame of AAC-LC."""
AUDIO_BITRATE_BPS: Final = 160_000


class SoundEncoder:
    """Encodes stereo sound."""

    def __init__(self) -> None:
        self._context = _make_encoder()
        self._samples = 0

    @property
    def description(self) -> bytes:
        """The AudioSpecificConfig."""
        return bytes(self._context.extradata or b"")

    def encode(self, samples: NDArray[np.float32]) -> list[EncodedSound]:
        """Encode the next FRAME_SAMPLES samples, of the shape (2, FRAME_SAMPLES). Raises av.FFmpegError."""
        planes: NDArray[Any] = np.ascontiguousarray(samples, dtype=np.float32)
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = (
            SAMPLES_PER_SECOND,
            self._samples,
            Fraction(1, SAMPLES_PER_SECOND),
        )
        self._samples += FRAME_SAMPLES
        return self._encode(frame)

    def flush(self) -> list[EncodedSound]:
        """Return what is still in the encoder. It cannot be used any more."""
        return self._encode(None)

    def _encode(self, frame: AudioFrame | None) -> list[EncodedSound]:
        return [
            EncodedSound(time_samples=packet.pts or 0, body=bytes(packet)) for packet in self._context.encode(frame)
        ]


def _make_encoder() -> AudioCodecContext:
    context = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = SAMPLES_PER_SECOND, "stereo", "fltp"
    context.bit_rate, context.time_base = AUDIO_BITRATE_BPS, Fraction(1, SAMPLES_PER_SECOND)
    context.open()
    return context
