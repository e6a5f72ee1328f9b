"""The AAC encoder of a composition, FFmpeg's own (PyAV).

The encoder needs one frame to prepare its decoder (ISO/IEC 14496-3, 4.B.5.4): the first packet has the time of minus
one frame, and a player does not present it.
"""

from typing import Final

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from stagebook.media.recording.aac_encoder import make_aac_encoder, sound_frame
from stagebook.media.recording.hls.encoded_media import EncodedSound

FRAME_SAMPLES: Final = 1_024
"""Samples of each channel in a frame of AAC-LC."""
AUDIO_BITRATE_BPS: Final = 160_000


class SoundEncoder:
    """Encodes stereo sound."""

    def __init__(self) -> None:
        self._context = make_aac_encoder(AUDIO_BITRATE_BPS)
        self._samples = 0

    @property
    def description(self) -> bytes:
        """The AudioSpecificConfig."""
        return bytes(self._context.extradata or b"")

    def encode(self, samples: NDArray[np.float32]) -> list[EncodedSound]:
        """Encode the next FRAME_SAMPLES samples, of the shape (2, FRAME_SAMPLES). Raises av.FFmpegError."""
        frame = sound_frame(samples, self._samples)
        self._samples += FRAME_SAMPLES
        return self._encode(frame)

    def flush(self) -> list[EncodedSound]:
        """Return what is still in the encoder. It cannot be used any more."""
        return self._encode(None)

    def _encode(self, frame: AudioFrame | None) -> list[EncodedSound]:
        return [
            EncodedSound(time_samples=packet.pts or 0, body=bytes(packet)) for packet in self._context.encode(frame)
        ]
