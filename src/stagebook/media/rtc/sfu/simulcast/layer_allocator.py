"""Which version of the video one viewer is sent: the best one that its line carries beside the audio. Sans-I/O, pure.

A version is a simulcast layer: whole, without its upper temporal layers, or its keyframes alone. Versions are ordered
by their size first, and then by their frames a second, so that frames are given up before size is. The rules:

* Down at once: when the version that is sent no longer fits the estimate, the best one that fits is next. If not even
  the smallest fits and the line is full, the video pauses: audio needs little, and a full queue would delay it too.
  After a deep fall it is one with room to spare, because its keyframe is there sooner.
* Up slowly: at most every MIN_STAY_SECONDS, with room to spare, and only as far as probing has shown
  (`Bandwidth.may_raise`). A raise that had to be taken back soon makes the next one wait twice as long.
* A viewer without an estimate is sent the best version.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

KEEP_FACTOR: Final = 1.1
"""A version is kept while it takes at most so much of the estimate: bitrates vary from second to second."""
RAISE_FACTOR: Final = 1.2
"""A better version has to fit with so much to spare: a line that is nearly full delays the frames that are large."""
DEEP_FALL: Final = 0.4
FALL_SHARE: Final = 0.7
"""Where a full line carries less than DEEP_FALL of what is sent, the smaller layer takes at most FALL_SHARE of the
estimate, if there is such a one. The larger its bitrate, the larger its keyframe, for which the viewer waits behind the
queue of the line."""
MAX_STEP: Final = 4
"""A raise beyond the next whole layer takes at most so many times the bitrate: an estimate that little was sent for may
be too high."""
MIN_STAY_SECONDS: Final = 0.75
"""Between a change and the next raise: the measured bitrates follow within this time."""
FAILED_RAISE_SECONDS: Final = 8.0
"""A raise that is taken back within this time has failed."""
FIRST_BACK_OFF_SECONDS: Final = 1.0
MAX_BACK_OFF_SECONDS: Final = 60.0
"""How long a raise waits after a fall, and at most after many raises that failed."""
MIN_FRAMES_PER_SECOND: Final = 7.0
"""Below this a smaller picture is better than fewer frames. It is half of the frame rate of a thumbnail (15), and a
quarter of the usual one (30)."""

STILLS: Final = -1
"""In place of a temporal layer: keyframes alone."""


class VersionKey(NamedTuple):
    """Names a version."""

    encoding_id: str | None
    """The layer's; None for the only layer of a publisher without simulcast."""
    max_temporal_id: int | None = None
    """The uppermost temporal layer that is sent; None for all, STILLS for keyframes alone."""

    @property
    def is_of_stills(self) -> bool:
        """Whether the version has keyframes alone."""
        return self.max_temporal_id == STILLS


class Version(NamedTuple):
    """What a viewer can be sent, as it was measured."""

    key: VersionKey
    bitrate_bps: int
    """What it takes lately, with the headers of its packets."""
    peak_bps: int
    """What it takes when its encoder has not stalled: the highest of the averages."""
    pixels: int
    frames_per_second: float


class Bandwidth(Protocol):
    """What is known of a viewer's line (`congestion.viewer_bandwidth`)."""

    @property
    def estimate_bps(self) -> int | None:
        """The bits per second that the line carries; None if that is not known."""

    @property
    def is_full(self) -> bool:
        """Whether packets wait in a queue of the line, or are lost."""

    def may_raise(self, bitrate_bps: int, now: float) -> bool:
        """Whether the line carries so much. False begins to probe for it."""


def ladder(versions: Sequence[Version]) -> tuple[Version, ...]:
    """The versions in ascending order, without those of too few frames where there is a smaller layer."""
    ordered = sorted(versions, key=lambda each: (each.pixels, each.bitrate_bps))
    least = ordered[0].pixels if ordered else 0
    return tuple(
        each
        for each in ordered
        if each.key.max_temporal_id is None or each.pixels == least or each.frames_per_second >= MIN_FRAMES_PER_SECOND
    )


class LayerAllocator:
    """The choice for one viewer over time."""

    __slots__ = ("_back_off_seconds", "_changed_at", "_raised_at", "_retry_at")

    def __init__(self) -> None:
        self._changed_at = float("-inf")
        self._raised_at = float("-inf")
        self._retry_at = float("-inf")
        self._back_off_seconds = FIRST_BACK_OFF_SECONDS

    def choose(
        self,
        versions: Sequence[Version],
        current: VersionKey | None,
        *,
        bandwidth: Bandwidth,
        audio_bps: int,
        now: float,
        redundant_bps: int = 0,
    ) -> VersionKey | None:
        """Choose one of `versions`, which are in ascending order (`ladder`); None: send no video.

        `current` is what the viewer is sent, or will be sent from the next keyframe on; None for nothing.
        `redundant_bps` is what the audio takes beside `audio_bps` while it is sent with redundancy; the room to spare
        of a raise may hold it. Call it every `engine_timer.TICK_SECONDS` and when the estimate has fallen.
        """
        estimate = bandwidth.estimate_bps
        if not versions:
            return None
        if estimate is None:
            return versions[-1].key
        available = max(0, estimate - audio_bps - redundant_bps)
        position = next((index for index, each in enumerate(versions) if each.key == current), None)
        if position is None and current is not None:
            # It is no longer sent.
            chosen = _best(versions, available)
        elif position is not None and versions[position].bitrate_bps > available * KEEP_FACTOR:
            chosen = _best_after_fall(versions, position, available, is_full=bandwidth.is_full)
            if (chosen is None or chosen.key.is_of_stills) and not bandwidth.is_full:
                # The estimate of a line that carries all that it is sent may be too low, and a pause is seen.
                return current
            self._note_fall(now)
        else:
            chosen = self._raised(versions, position, audio_bps, redundant_bps, bandwidth, now)
        key = None if chosen is None else chosen.key
        if key != current:
            self._changed_at = now
        return key

    def _raised(
        self,
        versions: Sequence[Version],
        position: int | None,
        audio_bps: int,
        redundant_bps: int,
        bandwidth: Bandwidth,
        now: float,
    ) -> Version | None:
        current = None if position is None else versions[position]
        above = versions if position is None else versions[position + 1 :]
        if not above or now < max(self._retry_at, self._changed_at + MIN_STAY_SECONDS):
            return current
        available_bps = max(0, (bandwidth.estimate_bps or 0) - audio_bps)
        most_bps = available_bps if current is None else min(available_bps, MAX_STEP * current.peak_bps)
        goal = next((each for each in above if each.key.max_temporal_id is None), above[0])
        for better in reversed(above):
            needed = max(round(better.peak_bps * RAISE_FACTOR), better.peak_bps + redundant_bps)
            # `may_raise` begins to probe, so it is asked only for what the estimate allows, and for the goal.
            if (needed <= most_bps or better is goal) and bandwidth.may_raise(needed + audio_bps, now):
                self._raised_at = now
                return better
        return current

    def _note_fall(self, now: float) -> None:
        has_failed = now - self._raised_at <= FAILED_RAISE_SECONDS
        longer = min(2 * self._back_off_seconds, MAX_BACK_OFF_SECONDS)
        self._back_off_seconds = longer if has_failed else FIRST_BACK_OFF_SECONDS
        self._retry_at = now + self._back_off_seconds


def _best(versions: Sequence[Version], available_bps: int) -> Version | None:
    """The best version that fits; None if none does."""
    return next((each for each in reversed(versions) if each.peak_bps <= available_bps), None)


def _best_after_fall(
    versions: Sequence[Version], position: int, available_bps: int, *, is_full: bool
) -> Version | None:
    """The best version below the one at `position` for a line that does not carry that one; None if none fits."""
    below = versions[:position]
    if is_full and available_bps < DEEP_FALL * versions[position].bitrate_bps:
        most_bps = FALL_SHARE * available_bps
        large = {
            each.key.encoding_id for each in versions if each.key.max_temporal_id is None and each.peak_bps > most_bps
        }
        large.discard(versions[position].key.encoding_id)
        chosen = _best([each for each in below if each.key.encoding_id not in large], available_bps)
        if chosen is not None:
            return chosen
    return _best(below, available_bps)
