"""Opus to AAC with FFmpeg's libraries (PyAV), without gaps and in step with the publisher's clock.

    packet -> decoder -> place on the timeline -> AAC encoder (1,024 samples a frame)

The encoder is given samples without a gap, from the start of the stream on. Where the samples of a packet belong is
said by its time; `deviation` is the distance between that place and the end of what the encoder was given.

* A packet that is later than MAX_LATE_SAMPLES leaves a gap (loss, DTX, a muted microphone): silence is inserted.
* A packet that is earlier than that overlaps: what overlaps is left out.
* Any other deviation is jitter, or a clock that drifts. While its mean is above _TOLERANCE_SAMPLES, each packet is made
  longer or shorter by one sample in _SAMPLES_PER_STRETCH: 964 in place of 960, for instance. That corrects drift of
  4,000 ppm, and is not heard.

Importing PyAV is slow. Import this module only where sound is really transcoded.
"""

from functools import lru_cache
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from stagebook.media.recording.aac_encoder import make_aac_encoder, sound_frame
from stagebook.media.recording.hls.encoded_media import (
    FRAME_SAMPLES,
    SAMPLES_PER_SECOND,
    EncodedSound,
    SoundFormat,
    samples_to_us,
    us_to_samples,
)

BITRATE_BPS: Final = 128_000
MAX_LATE_SAMPLES: Final = 1_440
"""30 ms: less than the offset between sound and pictures that the recording allows."""
_MEAN_WEIGHT: Final = 1 / 32
_SAMPLES_PER_STRETCH: Final = 240
_TOLERANCE_SAMPLES: Final = 48
"""1 ms. A smaller mean is left: the time of a packet is an estimate, and resampling costs as much as decoding."""
_SILENCE_SAMPLES: Final = 960
_FADE_SAMPLES: Final = 96
"""2 ms. Sound that begins or ends at once would click."""

_Samples = NDArray[np.float32]


class OpusToAac:
    """Transcodes the packets of one stream of a recording."""

    def __init__(self, *, start_us: int) -> None:
        """`start_us` is the time of the first sample that is encoded."""
        self._decoder = _make_decoder()
        self._encoder = make_aac_encoder(BITRATE_BPS)
        self._start = self._end = us_to_samples(start_us)
        """The timeline position behind the last sample that the encoder was given."""
        self._mean_deviation = 0.0
        self._chunks: list[_Samples] = []
        """Samples that do not fill an AAC frame yet."""
        self._chunk_samples = 0
        self._fades_in = True
        self._is_contiguous = False
        """Whether the last samples were of a packet, which the next packet follows."""

    @property
    def end_us(self) -> int:
        """Where the sound ends that was transcoded, or filled with silence."""
        return samples_to_us(self._end)

    @property
    def format(self) -> SoundFormat:
        """The format of the frames."""
        return SoundFormat(description=bytes(self._encoder.extradata or b""), channels=2)

    def transcode(self, packet: bytes, *, time_us: int) -> list[EncodedSound]:
        """Transcode a packet. Returns the AAC frames that it completes. A packet that is no Opus counts as lost."""
        try:
            frames = self._decoder.decode(av.Packet(packet))
        except av.FFmpegError:
            return []
        encoded: list[EncodedSound] = []
        position = us_to_samples(time_us)
        for frame in frames:
            samples = np.asarray(frame.to_ndarray(), dtype=np.float32)
            encoded += self._place(samples, position)
            position += samples.shape[1]
        return encoded

    def fill_until(self, time_us: int) -> list[EncodedSound]:
        """Insert silence up to a time, if there is no sound up to it."""
        return self._insert_silence(us_to_samples(time_us) - self._end)

    def reset_decoder(self) -> None:
        """Forget what was decoded: another encoder sends from now on."""
        self._decoder = _make_decoder()

    def finish(self, time_us: int) -> list[EncodedSound]:
        """Insert silence up to a time, and return the last frames. Nothing can be transcoded after it."""
        encoded = self.fill_until(time_us)
        end = self._end
        # The encoder holds back two frames.
        encoded += self._insert_silence(-self._chunk_samples % FRAME_SAMPLES + 2 * FRAME_SAMPLES)
        return [sound for sound in encoded if sound.time_samples < end]

    def _place(self, samples: _Samples, position: int) -> list[EncodedSound]:
        deviation = position - self._end
        if not self._is_contiguous or abs(deviation) > MAX_LATE_SAMPLES:
            return self._place_exactly(samples, deviation)
        self._mean_deviation += (deviation - self._mean_deviation) * _MEAN_WEIGHT
        if abs(self._mean_deviation) > _TOLERANCE_SAMPLES:
            stretch = max(samples.shape[1] // _SAMPLES_PER_STRETCH, 1)
            stretch = stretch if self._mean_deviation > 0 else -stretch
            self._mean_deviation -= stretch
            samples = _stretched(samples, samples.shape[1] + stretch)
        return self._push(self._faded(samples))

    def _place_exactly(self, samples: _Samples, deviation: int) -> list[EncodedSound]:
        """Give the encoder silence up to a packet, or only what is not before the end."""
        self._mean_deviation = 0.0
        encoded = self._insert_silence(deviation)
        rest = samples[:, max(-deviation, 0) :]
        if not rest.shape[1]:
            return encoded
        self._is_contiguous = True
        return encoded + self._push(self._faded(rest))

    def _faded(self, samples: _Samples) -> _Samples:
        """Fade in what follows silence."""
        if not self._fades_in or samples.shape[1] < _FADE_SAMPLES:
            return samples
        self._fades_in = False
        samples = samples.copy()
        samples[:, :_FADE_SAMPLES] *= np.linspace(0, 1, _FADE_SAMPLES, dtype=np.float32)
        return samples

    def _insert_silence(self, count: int) -> list[EncodedSound]:
        if count <= 0:
            return []
        self._mean_deviation, self._fades_in, self._is_contiguous = 0.0, True, False
        encoded: list[EncodedSound] = []
        while count > 0:
            chunk = min(count, _SILENCE_SAMPLES)
            encoded += self._push(np.zeros((2, chunk), dtype=np.float32))
            count -= chunk
        return encoded

    def _push(self, samples: _Samples) -> list[EncodedSound]:
        """Give samples to the encoder, in frames of FRAME_SAMPLES."""
        self._chunks.append(samples)
        self._chunk_samples += samples.shape[1]
        self._end += samples.shape[1]
        if self._chunk_samples < FRAME_SAMPLES:
            return []
        joined = np.concatenate(self._chunks, axis=1)
        whole = joined.shape[1] - joined.shape[1] % FRAME_SAMPLES
        encoded: list[EncodedSound] = []
        for first in range(0, whole, FRAME_SAMPLES):
            start = self._end - joined.shape[1] + first
            encoded += self._encode(joined[:, first : first + FRAME_SAMPLES], start)
        self._chunks = [joined[:, whole:]]
        self._chunk_samples = joined.shape[1] - whole
        return encoded

    def _encode(self, samples: _Samples, position: int) -> list[EncodedSound]:
        frame = sound_frame(samples, position)
        # The encoder's first packet, whose time is before the start, only prepares the decoder.
        return [
            EncodedSound(time_samples=packet.pts, body=bytes(packet))
            for packet in self._encoder.encode(frame)
            if packet.pts is not None and packet.pts >= self._start
        ]


def _stretched(samples: _Samples, count: int) -> _Samples:
    """Resample to `count` samples, by linear interpolation."""
    before, after, share = _interpolation(samples.shape[1], count)
    first = samples[:, before]
    stretched: _Samples = first + (samples[:, after] - first) * share
    return stretched


@lru_cache(maxsize=32)
def _interpolation(count: int, stretched_count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], _Samples]:
    """Return, for each sample that is wanted, the indexes of the two around it, and the share of the second one."""
    positions = np.linspace(0, count - 1, stretched_count)
    before = positions.astype(np.intp)
    return before, np.minimum(before + 1, count - 1), (positions - before).astype(np.float32)


def _make_decoder() -> AudioCodecContext:
    context = av.CodecContext.create("opus", "r")
    context.sample_rate = SAMPLES_PER_SECOND
    context.layout = "stereo"
    return context
