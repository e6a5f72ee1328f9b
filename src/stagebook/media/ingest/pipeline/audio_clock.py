"""The start time of each audio frame, derived from the encoder's timestamps without their rounding and jitter.

RTMP timestamps are whole milliseconds, but an AAC frame lasts 21.33 or 23.22 ms, so consecutive timestamps do not give
contiguous audio. As long as no frame is lost, the number of samples is the more precise clock. The clock therefore
counts samples and corrects the count towards the timestamps, as a first-order phase-locked loop does:

    start(n) = end(n - 1) + (timestamp(n) - end(n - 1)) * _GAIN

On average the result follows the timestamps. Two cases are not corrected but decided by MAX_DEVIATION_MS:

* a timestamp that is too late means that frames were lost: the clock restarts at the timestamp;
* a timestamp that is too early means that there already is audio for that time: the frame is dropped.
"""

from stagebook.media.codecs.input_fault import invalid_input

TICKS_PER_MS = 48
MAX_DEVIATION_MS = 35
"""More than one AAC frame, so that a single early or late timestamp is no loss, and less than the audio offset that
viewers notice (ITU-R BT.1359: 45 ms)."""
_GAIN = 1 / 64
"""Reduces the standard deviation of jitter to an eleventh. The lag behind a clock that is 100 ppm off is 0.14 ms."""
MAX_DROPPED_FRAMES = 100
"""Consecutive frames: two seconds, twice the time that timestamps may step back (`timeline`)."""


class AudioClock:
    """Places frames on the encoder's clock, in ticks of 1/48000 s."""

    def __init__(self) -> None:
        self._next: float | None = None
        self._dropped_frames = 0
        self.is_restarted = True
        """Whether the last placed frame does not continue the one before it."""

    def place(self, *, timestamp_ms: int, samples: int, sampling_rate: int) -> int | None:
        """Return the tick at which a frame of `samples` samples starts, or None if it is to be dropped.

        Raises InputFaultError (INPUT) for more than MAX_DROPPED_FRAMES in a row: the timestamps do not advance.
        """
        timestamp = float(timestamp_ms * TICKS_PER_MS)
        limit = MAX_DEVIATION_MS * TICKS_PER_MS
        # Overlapping audio cannot be sent: each Opus packet has its own 20 ms of the RTP clock.
        if self._next is not None and timestamp < self._next - limit:
            self._count_dropped()
            return None
        self._dropped_frames = 0
        self.is_restarted = self._next is None or timestamp > self._next + limit
        start = timestamp
        if self._next is not None and not self.is_restarted:
            start = self._next + (timestamp - self._next) * _GAIN
        self._next = start + samples * 1_000 * TICKS_PER_MS / sampling_rate
        return round(start)

    def _count_dropped(self) -> None:
        self._dropped_frames += 1
        if self._dropped_frames > MAX_DROPPED_FRAMES:
            raise invalid_input(
                f"the timestamps of the audio do not advance: {self._dropped_frames} frames in a row are too early"
            )
