"""The recorder of publications without media: it writes the metadata of a recording, and no media.

A recording starts and ends at once, and is as long as its parts were published, by the clock of the server: a test that
moves the clock makes recordings of any length. The objects `events/recording-started.json` and the others are in the
store before the outcome is reported, as those of a real recording.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from stagebook.media.recording.processes.recorder_statistics import RecordingCounts
from stagebook.media.recording.recording_metadata import (
    RecordingStatus,
    describe_participant,
    metadata_document,
    metadata_name,
)
from stagebook.media.recording.recording_port import (
    FactListener,
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
    RecordingStarted,
)
from stagebook.media.simulated.report_queue import ReportQueue, put_metadata
from stagebook.storage.object_store import ObjectStore, StorageFault

Fault: TypeAlias = StorageFault | None
"""Why a recording fails: None means that the video codec is not supported."""


class _Recording:
    """One open recording."""

    def __init__(self, request: RecordingRequest, *, now_ms: int) -> None:
        self.request = request
        self.duration_ms = 0
        self._part_started_ms: int | None = now_ms

    def begin_part(self, now_ms: int) -> None:
        if self._part_started_ms is None:
            self._part_started_ms = now_ms

    def end_part(self, now_ms: int) -> None:
        if self._part_started_ms is not None:
            self.duration_ms += max(now_ms - self._part_started_ms, 0)
            self._part_started_ms = None


class SimulatedRecorder:
    """Implements `RecordingEngine` for sources without media."""

    def __init__(self, *, store: ObjectStore, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the time of the events, in milliseconds since the epoch."""
        self._store = store
        self._now_ms = now_ms
        self._listener: FactListener = lambda _fact: None
        self.counts = RecordingCounts()
        self._recordings: dict[str, _Recording] = {}
        self._faults: dict[tuple[str, str], Fault] = {}
        """Why the next recording of a participant fails to start, by stage ARN and participant id."""
        self._reports = ReportQueue()

    async def interrupted(
        self,
        recording_ids: Sequence[str],  # noqa: ARG002 - of the interface
    ) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """As RecordingEngine.interrupted. It keeps nothing."""
        return {}

    def listen(self, on_fact: FactListener) -> None:
        """As RecordingEngine.listen."""
        self._listener = on_fact

    @property
    def recording_count(self) -> int:
        """How many recordings are open."""
        return len(self._recordings)

    def has(self, recording_id: str) -> bool:
        """Return whether a recording is open."""
        return recording_id in self._recordings

    def prepare(self) -> None:
        """As RecordingEngine.prepare."""

    def start_recording(self, request: RecordingRequest) -> None:
        """As RecordingEngine.start_recording."""
        now_ms = self._now_ms()
        if (known := self._recordings.get(request.recording_id)) is not None:
            known.begin_part(now_ms)
            return
        recording = self._recordings[request.recording_id] = _Recording(request, now_ms=now_ms)
        pair = (request.stage_arn, request.participant_id)
        if pair in self._faults:
            self._fail(recording, self._faults[pair], status=RecordingStatus.START_FAILED)
        else:
            self._reports.then(self._report_start(recording))

    def end_part(self, recording_id: str) -> None:
        """As RecordingEngine.end_part."""
        if (recording := self._recordings.get(recording_id)) is not None:
            recording.end_part(self._now_ms())

    def end_recording(self, recording_id: str) -> None:
        """As RecordingEngine.end_recording."""
        if (recording := self._recordings.pop(recording_id, None)) is not None:
            recording.end_part(self._now_ms())
            self._reports.then(self._report_end(recording))

    # What a test asks for

    @contextmanager
    def failing_start(self, stage_arn: str, participant_id: str, fault: Fault) -> Iterator[None]:
        """Let the recordings of a participant that start meanwhile fail."""
        self._faults[stage_arn, participant_id] = fault
        try:
            yield
        finally:
            del self._faults[stage_arn, participant_id]

    def records(self, stage_arn: str, participant_id: str) -> bool:
        """Return whether a recording of a participant is open."""
        return bool(self._open_of(stage_arn, participant_id))

    def fail_running(self, stage_arn: str, participant_id: str, fault: StorageFault) -> bool:
        """Let the open recordings of a participant end with a failure. Returns whether there was one."""
        found = self._open_of(stage_arn, participant_id)
        for recording in found:
            recording.end_part(self._now_ms())
            self._fail(recording, fault, status=RecordingStatus.ENDED_WITH_FAILURE)
        return bool(found)

    def _open_of(self, stage_arn: str, participant_id: str) -> list[_Recording]:
        return [
            recording
            for recording in self._recordings.values()
            if (recording.request.stage_arn, recording.request.participant_id) == (stage_arn, participant_id)
        ]

    async def settled(self) -> bool:
        """Wait until the outcome of all calls so far is reported. Returns whether there was one to wait for."""
        return await self._reports.settled()

    # What is reported

    def _fail(self, recording: _Recording, fault: Fault, *, status: RecordingStatus) -> None:
        self._recordings.pop(recording.request.recording_id, None)
        self._reports.then(self._report_failure(recording, fault, status=status))

    async def _report_start(self, recording: _Recording) -> None:
        fault = await self._write(recording, RecordingStatus.STARTED)
        if fault is None:
            self._on_fact(RecordingStarted(recording_id=recording.request.recording_id))
        elif self._recordings.pop(recording.request.recording_id, None) is not None:
            self._report_failed(recording, fault)

    async def _report_end(self, recording: _Recording) -> None:
        fault = await self._write(recording, RecordingStatus.ENDED)
        if fault is None:
            self._on_fact(
                RecordingEnded(recording_id=recording.request.recording_id, duration_ms=recording.duration_ms)
            )
        else:
            self._report_failed(recording, fault)

    async def _report_failure(self, recording: _Recording, fault: Fault, *, status: RecordingStatus) -> None:
        # A bucket that is said to be closed takes no metadata.
        if fault in {None, StorageFault.UNAVAILABLE}:
            await self._write(recording, status)
        self._report_failed(recording, fault)

    def _on_fact(self, fact: RecordingFact) -> None:
        self.counts.note(fact)
        self._listener(fact)

    def _report_failed(self, recording: _Recording, fault: Fault) -> None:
        self._on_fact(
            RecordingFailed(recording_id=recording.request.recording_id, fault=fault, duration_ms=recording.duration_ms)
        )

    async def _write(self, recording: _Recording, status: RecordingStatus) -> StorageFault | None:
        """Write the metadata; return why the store did not take it, or None."""
        request, is_over = recording.request, status is not RecordingStatus.STARTED
        body = metadata_document(
            describe_participant(request),
            status,
            ended_ms=self._now_ms() if is_over else None,
            duration_ms=recording.duration_ms if is_over else None,
        )
        key = f"{request.prefix}/{metadata_name(status)}"
        return await put_metadata(self._store, request.bucket_name, key, body)
