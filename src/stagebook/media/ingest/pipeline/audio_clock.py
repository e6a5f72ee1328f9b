"""Where each audio frame lies in time: the encoder's timestamps, without their rounding and jitter.

RTMP tells milliseconds, an AAC frame has 21.33 or 23.22 of them, and the samples themselves are the better clock as
long as nothing is lost. So the samples are counted, and the timestamps only pull the count gently: what they say on
average is what counts. Knows no codec.
"""

from stagebook.media.codecs.input_fault import invalid_input

TICKS_PER_MS = 48
MAX_DEVIATION_MS = 35
"""Above it samples were lost (or there are too many): more than one AAC frame, less than an eye and an ear notice."""
_PULL = 1 / 64
"""Of the deviation for each frame: jitter is divided by eleven, and a clock 100 ppm off is 0.14 ms behind."""
MAX_LEFT_OUT = 100
"""Frames one after the other: two seconds, twice what timestamps may step back (see `timeline`)."""


class AudioClock:
    """Counts in ticks of 48 kHz from the encoder's own zero."""

    def __init__(self) -> None:
        self._next: float | None = None
        self._left_out = 0
        self.is_new = True
        """Whether the frame that was placed last begins anew: it does not follow the one before."""

    def place(self, *, timestamp_ms: int, samples: int, sampling_rate: int) -> int | None:
        """The tick at which a frame begins. None: it lies where other samples already are, and must be left out.

        Raises InputFaultError (INPUT) if that goes on: the timestamps stand still.
        """
        told = float(timestamp_ms * TICKS_PER_MS)
        limit = MAX_DEVIATION_MS * TICKS_PER_MS
        if self._next is not None and told < self._next - limit:
            self._leave_out()
            return None
        self._left_out = 0
        self.is_new = self._next is None or told > self._next + limit
        start = told if self._next is None or self.is_new else self._next + (told - self._next) * _PULL
        self._next = start + samples * 1_000 * TICKS_PER_MS / sampling_rate
        return round(start)

    def _leave_out(self) -> None:
        self._left_out += 1
        if self._left_out > MAX_LEFT_OUT:
            raise invalid_input(
                f"the timestamps of the audio stand still: {self._left_out} frames came for a time that is over"
            )
