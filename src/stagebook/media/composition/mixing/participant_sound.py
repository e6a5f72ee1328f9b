"""The sound of one participant on one timeline: a jitter buffer that a mixer plays at the pace of its own clock.

Sound is played `delay_samples` after it has arrived, so that late packets are still in time. How early packets are is
observed. If that changes (the participant's clock differs from the server's, or the network has changed), the sound is
played slower or faster, by 0.5 % at most, until the distance is right again. A sound whose packets are far away from
what is played has a new timeline: the mixer fades it out and begins another one.
"""

import numpy as np

from stagebook.media.composition.mixing.fades import FADE_SAMPLES, fade_gain
from stagebook.media.composition.mixing.sample_buffer import CHANNELS, SampleBuffer, Samples

SAMPLE_RATE = 48_000
CAPACITY = SAMPLE_RATE
"""One second of sound."""
MAXIMUM_AHEAD = SAMPLE_RATE // 2
"""How far ahead of what is played a packet may be."""
LATE_PACKETS = 5
"""Number of consecutive late packets after which the timeline begins anew."""
SEAM_SAMPLES = 48
"""Times are rounded to microseconds: a packet this close to the end of the one before follows it without a gap."""
OBSERVED_SAMPLES = SAMPLE_RATE
"""How long packets are observed before the pace changes."""
SLOWEST_CHANGE = 200
"""One sample of this number is left out or added: 0.5 %."""
SILENT_SAMPLES = SAMPLE_RATE
"""A sound without packets for this long says nothing about the participant's timeline."""


class ParticipantSound:
    """One timeline of one participant."""

    def __init__(self, first_position: int, *, delay_samples: int) -> None:
        self._buffer = SampleBuffer(CAPACITY)
        self._delay = delay_samples
        self._position = first_position - delay_samples
        self._next_position = first_position
        self._gain = 0.0
        self._is_ending = False
        self.is_muted = False
        self._late_packets = 0
        self._is_repeating = False
        """Whether all times of the last packet had samples already: the next packet may belong to another timeline."""
        self._least_lead: int | None = None
        self._observed = 0
        self._since_packet = 0
        self._surplus = 0
        """How many more samples than usual are still to be played; negative: fewer."""

    @property
    def is_over(self) -> bool:
        """Whether the sound has been ended, and cannot be heard any more."""
        return self._is_ending and self._gain == 0.0

    @property
    def is_heard(self) -> bool:
        """Whether the last sample that was played had a gain above 0."""
        return self._gain > 0.0

    @property
    def played_position(self) -> int | None:
        """The position of the next sample to play; None if there were no packets for a while."""
        return self._position if self._since_packet < SILENT_SAMPLES else None

    def end(self) -> None:
        """Fade out."""
        self._is_ending = True

    def write(self, position: int, samples: Samples) -> bool:
        """Take the samples of a packet, but for those that are there already, or that came too late.

        Returns False, and takes nothing, if they belong to a new timeline.
        """
        if abs(position - self._next_position) <= SEAM_SAMPLES:
            position = self._next_position
        lead = position - self._position
        if lead + len(samples) <= 0:
            self._late_packets += 1
            return self._late_packets < LATE_PACKETS
        if lead + len(samples) > MAXIMUM_AHEAD:
            return False
        self._late_packets = self._since_packet = 0
        if self._surplus == 0:
            self._least_lead = lead if self._least_lead is None else min(lead, self._least_lead)
        start = max(position, self._position, self._next_position)
        kept = samples[start - position :]
        self._buffer.write(start, kept)
        if not len(kept):
            self._is_repeating = True
        elif position != self._next_position or self._is_repeating:
            # The wave form does not go on from the sample before: a missing sample makes it fade out and in.
            self._buffer.erase(start, 1)
            self._is_repeating = False
        self._next_position = max(start + len(kept), self._next_position)
        return True

    def read(self, count: int) -> Samples:
        """Play `count` samples, and return them."""
        taken = count + self._pace(count)
        samples, is_present = self._buffer.read(self._position, taken + FADE_SAMPLES)
        is_wanted = not (self.is_muted or self._is_ending)
        samples = samples[:taken]
        if not (is_wanted and self._gain == 1.0 and is_present.all()):
            gain = fade_gain(is_present, self._gain, is_wanted=is_wanted)
            self._gain = float(gain[-1])
            samples *= gain[:, np.newaxis]
        self._buffer.erase(self._position, taken)
        self._position += taken
        self._since_packet = min(self._since_packet + taken, SILENT_SAMPLES)
        return samples if taken == count else _resampled(samples, count)

    def _pace(self, count: int) -> int:
        """Return how many more samples to take than `count`: a part of the surplus."""
        if self._surplus == 0:
            self._observe(count)
        change = max(min(self._surplus, count // SLOWEST_CHANGE), -(count // SLOWEST_CHANGE))
        self._surplus -= change
        return change

    def _observe(self, count: int) -> None:
        self._observed += count
        if self._observed < OBSERVED_SAMPLES:
            return
        if self._least_lead is not None and abs(self._least_lead - self._delay) * 2 > self._delay:
            self._surplus = self._least_lead - self._delay
        self._observed, self._least_lead = 0, None


def _resampled(samples: Samples, count: int) -> Samples:
    """Return `count` samples that take as long as `samples`."""
    known = np.arange(len(samples))
    places = np.arange(count) * (len(samples) / count)
    channels = [np.interp(places, known, samples[:, channel]) for channel in range(CHANNELS)]
    return np.stack(channels, axis=1).astype(np.float32)
