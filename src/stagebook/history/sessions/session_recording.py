"""The recordings of one participant in one session, from its RECORDING_* events."""

from collections.abc import Iterator

import msgspec

from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import sequence_time_ms
from stagebook.stage.events import EventName, RecordingErrorCode


class SessionRecording(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One recording: where it is, the sequence numbers of its first and its last event, and how it ended.

    `start` and `end` are the same of a recording that could not start, and `end` is None while it goes on.
    `duration_ms` is what the recorder has measured: reconnect windows and uploads are no part of it.
    """

    bucket_name: str
    prefix: str
    start: int
    end: int | None = None
    duration_ms: int | None = None
    error_code: RecordingErrorCode | None = None
    reason: str | None = None

    @property
    def start_ms(self) -> int:
        """The time of RECORDING_STARTED, or of RECORDING_START_FAILED, in milliseconds since the epoch."""
        return sequence_time_ms(self.start)

    @property
    def end_ms(self) -> int | None:
        """The time of the last event, in milliseconds since the epoch; None while it goes on."""
        return None if self.end is None else sequence_time_ms(self.end)


class RecordingFold:
    """The recordings so far. A bucket and a prefix identify one."""

    def __init__(self) -> None:
        self._recordings: dict[tuple[str, str], SessionRecording] = {}

    def __iter__(self) -> Iterator[SessionRecording]:
        """Iterate over the recordings in the order of their first events."""
        return iter(self._recordings.values())

    def add(self, recorded: RecordedEvent) -> None:
        """Take the next event. One that is not about a recording is ignored."""
        details = recorded.event.recording
        if details is None:
            return
        place = (details.bucket_name, details.prefix)
        known = self._recordings.get(place)
        self._recordings[place] = SessionRecording(
            bucket_name=details.bucket_name,
            prefix=details.prefix,
            start=recorded.sequence if known is None else known.start,
            end=None if recorded.event.name is EventName.RECORDING_STARTED else recorded.sequence,
            duration_ms=details.duration_ms,
            error_code=details.error_code,
            reason=details.reason,
        )
