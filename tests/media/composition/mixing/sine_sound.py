"""A publisher whose sound is a sine, and what a click is."""

import math

import numpy as np

from stagebook.media.composition.composition_port import ComposedParticipant
from stagebook.media.composition.mixing.audio_mixer import AudioMixer
from stagebook.media.composition.mixing.fades import FADE_SAMPLES
from stagebook.media.composition.mixing.sample_buffer import Samples

RATE = 48_000
PACKET = 960
BLOCK = 1024


def sine(position: int, count: int, *, amplitude: float = 0.4, hertz: float = 440) -> Samples:
    """Return `count` stereo samples of a sine that is always at the same phase at the same position."""
    wave = amplitude * np.sin(2 * math.pi * hertz / RATE * np.arange(position, position + count))
    return np.stack([wave, wave], axis=1).astype(np.float32)


def largest_step(*, amplitude: float = 0.4, hertz: float = 440) -> float:
    """Return how much neighbouring samples of a faded sine may differ: its slope, the fade's, and 1 % for the pace."""
    return 1.01 * amplitude * (2 * math.pi * hertz / RATE + 1 / FADE_SAMPLES)


def steps(mixed: Samples) -> float:
    """Return the greatest difference between neighbouring samples, from silence to silence."""
    ends = np.zeros((1, mixed.shape[1]), np.float32)
    return float(np.abs(np.diff(np.concatenate([ends, mixed]), axis=0)).max())


def composed(participant_id: str, *, is_audio_muted: bool = False) -> ComposedParticipant:
    """Return a publisher."""
    return ComposedParticipant(participant_id=participant_id, source_id=participant_id, is_audio_muted=is_audio_muted)


class Conversation:
    """A mixer, and publishers who send a packet whenever their clocks say so."""

    def __init__(self, *names: str) -> None:
        self.mixer = AudioMixer()
        self.mixer.show_participants(tuple(composed(name) for name in names))
        self.played = 0
        self.sent = dict.fromkeys(names, 0)
        self.pace = dict.fromkeys(names, 1.0)
        self.offset = dict.fromkeys(names, 0)
        self.lost: set[int] = set()
        self.lateness = 0
        self.phase = 0
        self.amplitude = 0.4

    def mix(self, blocks: int) -> Samples:
        """Return what is mixed in the next blocks of 1024 samples, while everybody sends."""
        return np.concatenate([self._block() for _ in range(blocks)])

    def _block(self) -> Samples:
        for name, pace in self.pace.items():
            while self.sent[name] + PACKET <= (self.played - self.lateness) * pace:
                self.send(name)
        self.played += BLOCK
        return self.mixer.mix(BLOCK)

    def send(self, name: str) -> None:
        """Send the next packet, if it is not lost."""
        position = self.sent[name]
        self.sent[name] += PACKET
        if position // PACKET not in self.lost:
            start = position + self.offset[name]
            self.mixer.receive(
                name, sine(start + self.phase, PACKET, amplitude=self.amplitude), start * 1_000_000 // RATE
            )
