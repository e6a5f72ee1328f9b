"""The AAC encoder: what a sound costs, and what is left of it."""

import time
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stagebook.media.recording.aac_encoder import make_aac_encoder, sound_frame

RATE = 48_000
FRAME = 1_024
SECONDS = 4
LEAST_DISTANCE_DB = 50.0
"""Between a tone and what differs from it."""
_TIMES = np.arange(RATE * SECONDS // FRAME * FRAME) / RATE


def stereo(samples: NDArray[Any]) -> NDArray[np.float32]:
    return np.stack([samples, samples]).astype(np.float32)


def encode(samples: NDArray[np.float32]) -> tuple[list[bytes], bytes, float]:
    """Return the packets, the description, and the processor seconds of this thread."""
    encoder = make_aac_encoder(128_000)
    started = time.thread_time()
    packets = [
        bytes(packet)
        for first in range(0, samples.shape[1], FRAME)
        for packet in encoder.encode(sound_frame(samples[:, first : first + FRAME], first))
    ]
    seconds = time.thread_time() - started
    return [*packets, *(bytes(packet) for packet in encoder.encode(None))], bytes(encoder.extradata or b""), seconds


def decode(packets: list[bytes], description: bytes) -> NDArray[np.float32]:
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata, decoder.sample_rate, decoder.layout = description, RATE, "stereo"
    decoded = [frame.to_ndarray() for packet in packets for frame in decoder.decode(av.Packet(packet))]
    # The first frame prepares the decoder.
    return np.concatenate(decoded, axis=1)[:, FRAME:].astype(np.float32)


def test_a_tone_costs_no_more_than_twice_what_noise_costs() -> None:
    noise = stereo(np.random.default_rng(1).normal(0, 0.1, _TIMES.size))
    # As an Opus decoder returns it: far finer than 16 bits.
    tone = decode_opus(stereo(np.sin(2 * np.pi * 440 * _TIMES) / 8))
    costs = [min(encode(sound)[2] for _ in range(3)) for sound in (noise, tone)]
    assert costs[1] < 2 * costs[0], costs


def test_silence_stays_silence() -> None:
    packets, description, _ = encode(stereo(np.zeros(_TIMES.size)))
    assert not decode(packets, description).any()
    assert max(map(len, packets[1:])) < 16


def decode_opus(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "stereo", "flt"
    decoder = av.CodecContext.create("opus", "r")
    decoder.sample_rate, decoder.layout = RATE, "stereo"
    decoded = []
    for first in range(0, samples.shape[1] // 960 * 960, 960):
        chunk = np.ascontiguousarray(samples[:, first : first + 960].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(chunk, format="flt", layout="stereo")
        frame.sample_rate = RATE
        decoded += [sound.to_ndarray() for packet in encoder.encode(frame) for sound in decoder.decode(packet)]
    joined = np.concatenate(decoded, axis=1).astype(np.float32)
    return joined[:, : joined.shape[1] // FRAME * FRAME]


@pytest.mark.parametrize("hertz", [110, 440, 3_000])
def test_a_tone_stays_what_it_was(hertz: int) -> None:
    tone = stereo(np.sin(2 * np.pi * hertz * _TIMES) / 8)
    packets, description, _ = encode(tone)
    heard = decode(packets, description)
    middle = slice(RATE, 3 * RATE)
    noise = heard[:, middle] - tone[:, middle]
    assert 10 * np.log10((tone[:, middle] ** 2).sum() / (noise**2).sum()) > LEAST_DISTANCE_DB
