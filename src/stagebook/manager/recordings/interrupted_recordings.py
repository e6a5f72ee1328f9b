"""The end of a recording that a run of the server has left open: its row, its state and its events.

The journal of the recorder decides (`media/recording/recorded_outcome`). What is in a journal had started, also if the
book does not say so yet: the metadata in the bucket say it.
"""

from stagebook.book.book_values import OpenRecording
from stagebook.book.changes import AppendEvent, Change, PutRecording
from stagebook.media.recording.recording_port import RecordingEnded, RecordingFailed
from stagebook.stage.events import Cause, Event, EventName, RecordingDetails, RecordingErrorCode
from stagebook.stage.resources import RecordingState


def changes_of_interrupted(
    entry: OpenRecording, outcome: RecordingEnded | RecordingFailed | None, *, at_ms: int
) -> list[Change]:
    """Return the changes that end a recording. `outcome` is None if nothing was recorded."""
    where = {"stage_arn": entry.stage_arn, "session_id": entry.session_id, "participant_id": entry.participant_id}
    is_complete, is_started = isinstance(outcome, RecordingEnded), entry.is_started or outcome is not None
    ends: list[tuple[EventName, RecordingDetails]] = []
    if is_started and not entry.is_started:
        started = RecordingDetails(bucket_name=entry.bucket_name, prefix=entry.prefix)
        ends.append((EventName.RECORDING_STARTED, started))
    if is_started:
        name = EventName.RECORDING_ENDED if is_complete else EventName.RECORDING_END_FAILED
    else:
        name = EventName.RECORDING_START_FAILED
    details = RecordingDetails(
        bucket_name=entry.bucket_name,
        prefix=entry.prefix,
        duration_ms=None if outcome is None else outcome.duration_ms,
        error_code=None if is_complete else RecordingErrorCode.INTERNAL_SERVER,
    )
    changes: list[Change] = [
        PutRecording(
            recording_id=entry.recording_id,
            state=RecordingState.STOPPED if is_complete else RecordingState.FAILED,
            is_started=is_started,
            is_shown=entry.is_shown,
            bucket_name=entry.bucket_name,
            prefix=entry.prefix,
            **where,
        )
    ]
    changes += [
        AppendEvent(event=Event(name=name, recording=recording, cause=Cause.CRASH_RECOVERY), at_ms=at_ms, **where)
        for name, recording in (*ends, (name, details))
    ]
    return changes
