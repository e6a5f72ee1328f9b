"""What composition processes have used and left out, and what has become of compositions: for the metrics.

Each process reports its part every two seconds and at its end. The totals of processes that have exited are kept.
"""

from collections import Counter
from typing import Final

import msgspec

from stagebook.media.composition.composition_port import (
    CompositionFact,
    CompositionLost,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
)

STATISTICS_INTERVAL_SECONDS: Final = 2.0


class ComposingStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Of a composition process since its start, or of several."""

    cpu_seconds: float = 0.0
    repeated_frames: int = 0
    """Frames that were late and have the picture of the one before."""
    omitted_frames: int = 0
    """Frames that were too late and are not in the output."""
    waiting_bytes: int = 0
    """The size of the objects that wait for the store."""
    failed_attempts: int = 0
    """How often the store has not taken an object."""
    abandoned_uploads: int = 0
    """How many outputs of compositions that are over were deleted before the store had all of their objects."""

    def plus(self, other: "ComposingStatistics") -> "ComposingStatistics":
        """Return the sums of both."""
        return ComposingStatistics(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        )

    def without_waiting(self) -> "ComposingStatistics":
        """Return the totals alone, as of a process that has exited."""
        return msgspec.structs.replace(self, waiting_bytes=0)


NO_COMPOSING_STATISTICS: Final = ComposingStatistics()
"""Those of a process that has not reported yet."""


class CompositionCounts:
    """What was reported about compositions since the start of the server."""

    def __init__(self) -> None:
        self.lost = 0
        # A fault that has not occurred has a count as well, so that its first one is seen as an increase.
        self.failed_outputs: Counter[OutputFault] = Counter(dict.fromkeys(OutputFault, 0))
        self.reconnects = 0

    def note(self, fact: CompositionFact) -> None:
        """Count a fact."""
        match fact:
            case CompositionLost():
                self.lost += 1
            case OutputFailed():
                self.failed_outputs[fact.fault] += 1
            case OutputReconnecting():
                self.reconnects += 1
