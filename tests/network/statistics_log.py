"""The statistics of a browser's peer connection over time, as `pages/network_peer.js` notes them.

The names are those of getStats: `log.last("video", "framesDecoded")`. The streams of a viewer are `audio` and `video`,
those of a publisher also `video.<rid>`; what the server reports of them is `reported.video` and so on; `pair` is the
path.
"""

from collections.abc import Iterator
from typing import TypeAlias

Sample: TypeAlias = dict[str, float | dict[str, float]]


class StatisticsLog:
    """Samples with the time of each, in seconds since the log began."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    @property
    def end(self) -> float:
        """The time of the newest sample."""
        seconds = self._samples[-1]["seconds"]
        assert isinstance(seconds, float | int)
        return seconds

    def values(self, stream: str, name: str) -> list[tuple[float, float]]:
        """The samples that have a value, as time and value."""
        return list(self._values(stream, name))

    def at(self, stream: str, name: str, seconds: float) -> float:
        """The value at a time; 0 before the first one."""
        return next((value for time, value in reversed(self.values(stream, name)) if time <= seconds), 0.0)

    def last(self, stream: str, name: str) -> float:
        """The newest value."""
        return self.at(stream, name, self.end)

    def grown(self, stream: str, name: str, start: float, end: float) -> float:
        """How much a counter has grown between two times."""
        return self.at(stream, name, end) - self.at(stream, name, start)

    def bitrate_bps(self, stream: str, name: str, start: float, end: float) -> float:
        """The bit rate of a counter of bytes."""
        return 8 * self.grown(stream, name, start, end) / (end - start)

    def concealed_share(self, start: float, end: float) -> float:
        """The share of audio samples that were concealed, without those of silence."""
        concealed = self.grown("audio", "concealedSamples", start, end)
        silent = self.grown("audio", "silentConcealedSamples", start, end)
        return (concealed - silent) / max(1.0, self.grown("audio", "totalSamplesReceived", start, end))

    def longest_gap(self, stream: str, name: str, start: float, end: float) -> float:
        """The longest time between two times, in seconds, in which a counter did not grow."""
        longest, since, former = 0.0, start, self.at(stream, name, start)
        for time, value in self.values(stream, name):
            if start < time <= end and value > former:
                longest, since, former = max(longest, time - since), time, value
        return max(longest, end - since)

    def first_at(self, stream: str, name: str, start: float, wanted: float) -> float | None:
        """The time from `start` to the first sample after it with this value; None if there is none."""
        times = (time for time, value in self.values(stream, name) if time >= start and value == wanted)
        found = next(times, None)
        return None if found is None else found - start

    def _values(self, stream: str, name: str) -> Iterator[tuple[float, float]]:
        for sample in self._samples:
            values, seconds = sample.get(stream), sample["seconds"]
            if isinstance(values, dict) and name in values and isinstance(seconds, float | int):
                yield seconds, values[name]
