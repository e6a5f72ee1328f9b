"""Mixes the sound of the participants into one stream, at the pace of the output.

The output asks for samples, and always gets as many as it asked for. A participant's sound has its own clock, and its
packets come early, late or never; `participant_sound` brings them to the clock of the output. To avoid
clicks, a participant that joins, leaves, mutes or loses packets is faded in or out within 5 ms.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stagebook.media.composition.composition_port import ComposedParticipant
from stagebook.media.composition.mixing.limiter import Limiter
from stagebook.media.composition.mixing.participant_sound import SAMPLE_RATE, ParticipantSound
from stagebook.media.composition.mixing.sample_buffer import CHANNELS, Samples

DELAY_MS = 120
"""How much later than it arrives sound is played."""
MAXIMUM_PACKET = SAMPLE_RATE // 5
"""The longest packet. An Opus packet has 120 ms at most (RFC 6716, section 2.1.4)."""
_FULL_SCALE = np.float32(1 / 32_768)


class AudioMixer:
    """The sound of one composition: 48 kHz, stereo, float32 between -1 and 1."""

    def __init__(self, *, delay_ms: int = DELAY_MS) -> None:
        self._delay_samples = delay_ms * SAMPLE_RATE // 1000
        self._is_muted: dict[str, bool] = {}
        self._sounds: dict[str, ParticipantSound] = {}
        self._ending: list[ParticipantSound] = []
        self._limiter = Limiter()

    def show_participants(self, participants: tuple[ComposedParticipant, ...]) -> None:
        """Mix these participants from now on. Who is muted, or not among them, is faded out."""
        self._is_muted = {one.participant_id: one.is_audio_muted for one in participants}
        for participant_id in self._sounds.keys() - self._is_muted.keys():
            self._end(self._sounds.pop(participant_id))
        for participant_id, sound in self._sounds.items():
            sound.is_muted = self._is_muted[participant_id]

    def receive(self, participant_id: str, samples: NDArray[np.int16] | NDArray[np.float32], time_us: int) -> None:
        """Take the decoded samples of a packet, shape (count, 2), and the time of the first of them.

        `time_us` is on the participant's timeline, in microseconds. Sound of unknown participants is dropped. Raises
        ValueError for another shape or a packet above 200 ms.
        """
        if samples.ndim != CHANNELS or samples.shape[1] != CHANNELS or not 0 < len(samples) <= MAXIMUM_PACKET:
            raise ValueError(f"a packet is a stereo array of 1 to {MAXIMUM_PACKET} samples, not {samples.shape}")
        if participant_id not in self._is_muted:
            return
        level = samples * _FULL_SCALE if samples.dtype == np.int16 else samples.astype(np.float32, copy=False)
        position = round(time_us * SAMPLE_RATE / 1_000_000)
        sound = self._sounds.get(participant_id)
        if sound is not None and sound.write(position, level):
            return
        if sound is not None:
            self._end(sound)
        self._sounds[participant_id] = sound = ParticipantSound(position, delay_samples=self._delay_samples)
        sound.is_muted = self._is_muted[participant_id]
        sound.write(position, level)

    def mix(self, count: int) -> Samples:
        """Return the next `count` samples of the output, shape (count, 2). `count` is positive, and 200 ms at most.

        Raises ValueError for another one.
        """
        if not 0 < count <= MAXIMUM_PACKET:
            raise ValueError(f"1 to {MAXIMUM_PACKET} samples can be mixed at once, not {count}")
        mix = np.zeros((count, CHANNELS), np.float32)
        for sound in (*self._sounds.values(), *self._ending):
            mix += sound.read(count)
        self._ending = [sound for sound in self._ending if not sound.is_over]
        return self._limiter.limit(mix)

    def played_us(self) -> Mapping[str, int]:
        """Return for each participant the time on its timeline of the next sample to mix, in microseconds.

        Pictures with this time belong to that sound (`Compositor.draw`). Participants that have sent no sound for a
        second are not in it.
        """
        positions = {name: sound.played_position for name, sound in self._sounds.items()}
        return {name: place * 1_000_000 // SAMPLE_RATE for name, place in positions.items() if place is not None}

    def _end(self, sound: ParticipantSound) -> None:
        """Fade a sound out, if it is heard. One is heard 5 ms at the earliest after it began, so few end at once."""
        if sound.is_heard:
            sound.end()
            self._ending.append(sound)
