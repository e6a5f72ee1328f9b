"""What one transaction changes of the recordings: their next values, the changes of the book, and the commands.

A draft is discarded if the book refuses the transaction; then nothing has changed.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from stagebook.book.changes import AppendEvent, Change, PutRecording
from stagebook.media.recording.recording_port import RecordingEngine, RecordingRequest, ThumbnailSettings
from stagebook.stage.clock import Instant
from stagebook.stage.events import Event
from stagebook.stage.recording.recording_machine import Recording, RecordingPhase, RecordingStep, RecordingTurn
from stagebook.stage.resources import RecordingState

Command = Callable[[RecordingEngine], None]


class RecordingDraft:
    """The draft over the recordings that run, by their ids. `at` is the moment of the transaction."""

    def __init__(self, running: Mapping[str, Recording], *, at: Instant) -> None:
        self.at = at
        self.changes: list[Change] = []
        self.commands: list[tuple[str, Command]] = []
        """What the recorder is told once the transaction is durable, with the id of the recording."""
        self.changed: dict[str, Recording] = {}
        self._running = running

    def find(self, recording_id: str) -> Recording | None:
        """Return a recording in its newest state, None if it is not running."""
        return self.changed.get(recording_id) or self._running.get(recording_id)

    def begin(self, recording: Recording) -> None:
        """Add a new recording, and order its start."""
        self._put(recording)
        self._command(recording, lambda engine: engine.start_recording(request_of(recording)))

    def hide(self, recording: Recording) -> None:
        """Let the row of the participant show another recording."""
        if recording.is_shown and recording.phase is not RecordingPhase.OVER:
            self._put(replace(recording, is_shown=False))

    def move(self, recording: Recording, *, session_id: str, source_id: str, connection_id: str | None) -> Recording:
        """Let a recording go on in another session of the stage, or from another source; return it."""
        if recording.session_id != session_id:
            # The former session shows its part as stopped.
            self._write(recording, RecordingState.STOPPED)
        return replace(recording, session_id=session_id, source_id=source_id, connection_id=connection_id)

    def take(self, step: RecordingStep | None, turn: RecordingTurn) -> None:
        """Add what a turn has made. The recorder is told of the turns that it has not reported itself."""
        if step is None:
            return
        recording = step.recording
        self._put(recording)
        for event in step.events:
            self._append(recording, event)
        recording_id = recording.recording_id
        if turn is RecordingTurn.PAUSED:
            self._command(recording, lambda engine: engine.end_part(recording_id))
        elif turn is RecordingTurn.STOPPED:
            self._command(recording, lambda engine: engine.end_recording(recording_id))
        elif turn is RecordingTurn.RETURNED:
            self._command(recording, lambda engine: engine.start_recording(request_of(recording)))

    def _put(self, recording: Recording) -> None:
        self.changed[recording.recording_id] = recording
        self._write(recording, recording.state)

    def _write(self, recording: Recording, state: RecordingState) -> None:
        self.changes.append(
            PutRecording(
                stage_arn=recording.stage_arn,
                session_id=recording.session_id,
                participant_id=recording.participant_id,
                recording_id=recording.recording_id,
                state=state,
                bucket_name=recording.plan.bucket_name,
                prefix=recording.prefix,
                is_started=recording.is_started,
                is_shown=recording.is_shown,
            )
        )

    def _append(self, recording: Recording, event: Event) -> None:
        self.changes.append(
            AppendEvent(
                stage_arn=recording.stage_arn,
                session_id=recording.session_id,
                participant_id=recording.participant_id,
                event=event,
                at_ms=self.at.wall_ms,
            )
        )

    def _command(self, recording: Recording, command: Command) -> None:
        self.commands.append((recording.recording_id, command))


def request_of(recording: Recording) -> RecordingRequest:
    """Return what the recorder is told of a recording."""
    plan = recording.plan
    thumbnails = None
    if plan.thumbnail_storage:
        thumbnails = ThumbnailSettings(
            interval_seconds=plan.thumbnail_interval_seconds,
            is_sequential="SEQUENTIAL" in plan.thumbnail_storage,
            is_latest="LATEST" in plan.thumbnail_storage,
        )
    return RecordingRequest(
        recording_id=recording.recording_id,
        source_id=recording.source_id,
        connection_id=recording.connection_id,
        stage_arn=recording.stage_arn,
        session_id=recording.session_id,
        participant_id=recording.participant_id,
        bucket_name=plan.bucket_name,
        prefix=recording.prefix,
        started_ms=recording.started_ms,
        has_video=plan.has_video,
        segment_seconds=plan.segment_seconds,
        thumbnails=thumbnails,
    )
