"""The sound of one participant by position on its timeline, in a ring of bounded size."""

import numpy as np
from numpy.typing import NDArray

CHANNELS = 2

Samples = NDArray[np.float32]


class SampleBuffer:
    """A ring of stereo samples. It knows which positions hold a sample; the others read as silence."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._samples = np.zeros((capacity, CHANNELS), np.float32)
        self._is_present = np.zeros(capacity, np.bool_)

    def write(self, position: int, samples: Samples) -> None:
        """Store samples from `position` on. The caller keeps all stored positions within one capacity."""
        for place, part in self._parts(position, len(samples)):
            self._samples[place] = samples[part]
            self._is_present[place] = True

    def read(self, position: int, count: int) -> tuple[Samples, NDArray[np.bool_]]:
        """Return copies of `count` samples from `position` on, and which of them are present."""
        places = [place for place, _ in self._parts(position, count)]
        return (
            np.concatenate([self._samples[place] for place in places]),
            np.concatenate([self._is_present[place] for place in places]),
        )

    def erase(self, position: int, count: int) -> None:
        """Make `count` samples from `position` on silent and missing."""
        for place, _ in self._parts(position, count):
            self._samples[place] = 0.0
            self._is_present[place] = False

    def _parts(self, position: int, count: int) -> list[tuple[slice, slice]]:
        """Return where `count` samples are in the ring, and which of them: two parts at the end of the ring."""
        start = position % self.capacity
        first = min(count, self.capacity - start)
        parts = [(slice(start, start + first), slice(0, first))]
        return parts if first == count else [*parts, (slice(0, count - first), slice(first, count))]
