"""What the recorder process has used, and what has become of recordings: for the metrics.

The process reports its part every two seconds. The totals of a process that was lost are continued by the next one.
"""

from collections import Counter
from typing import Final

import msgspec

from stagebook.media.recording.recording_port import RecordingEnded, RecordingFact, RecordingFailed
from stagebook.storage.object_store import StorageFault

STATISTICS_INTERVAL_SECONDS: Final = 2.0


class RecorderStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Of a recorder process since its start."""

    cpu_seconds: float = 0.0
    waiting_bytes: int = 0
    """The size of the objects that wait for the store, those that earlier processes have left included."""
    failed_attempts: int = 0
    """How often the store has not taken an object."""
    left_uploads: int = 0
    """How many recordings have left objects that the store has not taken yet."""
    oldest_left_seconds: float = 0.0
    """How long the oldest of them has been left."""
    abandoned_uploads: int = 0
    """How many of them were deleted, above the bounds of size, number and age."""

    def continued_from(self, ended: "RecorderStatistics") -> "RecorderStatistics":
        """Return these statistics with the totals of a process that has ended added."""
        return msgspec.structs.replace(
            self,
            cpu_seconds=self.cpu_seconds + ended.cpu_seconds,
            failed_attempts=self.failed_attempts + ended.failed_attempts,
            abandoned_uploads=self.abandoned_uploads + ended.abandoned_uploads,
        )


NO_RECORDER_STATISTICS: Final = RecorderStatistics()
"""Those of a process that has not reported yet."""


class RecordingCounts:
    """How many recordings have ended, and how many have failed by fault, since the start of the server."""

    def __init__(self) -> None:
        self.ended = 0
        # A fault that has not occurred has a count as well, so that its first one is seen as an increase.
        self.failed: Counter[StorageFault | None] = Counter(dict.fromkeys((*StorageFault, None), 0))
        """None: the video codec is not supported for recording."""

    def note(self, fact: RecordingFact) -> None:
        """Count a fact."""
        match fact:
            case RecordingEnded():
                self.ended += 1
            case RecordingFailed():
                self.failed[fact.fault] += 1
