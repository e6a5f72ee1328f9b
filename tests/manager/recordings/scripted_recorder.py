"""A recorder that notes what it is told, and reports what a test says."""

from collections.abc import Mapping, Sequence

from stagebook.media.recording.recording_port import (
    FactListener,
    RecordingEnded,
    RecordingEngine,
    RecordingFailed,
    RecordingRequest,
    RecordingStarted,
)
from stagebook.storage.object_store import StorageFault


class ScriptedRecorder(RecordingEngine):
    """Implements `RecordingEngine`. With `completes`, recordings end as soon as they are told to.

    `commands` has each command: its name and the id of the recording. `failure` is raised by the next command.
    """

    def __init__(self, *, completes: bool = False) -> None:
        self.completes = completes
        self.requests: list[RecordingRequest] = []
        self.commands: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.preparations = 0
        self.outcomes: dict[str, RecordingEnded | RecordingFailed] = {}
        """What the journals say of the recordings of an earlier run."""
        self._report: FactListener = lambda _fact: None

    async def interrupted(self, recording_ids: Sequence[str]) -> Mapping[str, RecordingEnded | RecordingFailed]:
        return {each: self.outcomes[each] for each in recording_ids if each in self.outcomes}

    def listen(self, on_fact: FactListener) -> None:
        self._report = on_fact

    def prepare(self) -> None:
        self.preparations += 1

    def start_recording(self, request: RecordingRequest) -> None:
        self._note("start", request.recording_id)
        self.requests.append(request)

    def end_part(self, recording_id: str) -> None:
        self._note("end_part", recording_id)

    def end_recording(self, recording_id: str) -> None:
        self._note("end", recording_id)
        if self.completes:
            self.complete(recording_id)

    def _note(self, name: str, recording_id: str) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.commands.append((name, recording_id))

    @property
    def newest(self) -> str:
        """The id of the recording that was started last."""
        return self.requests[-1].recording_id

    def names(self) -> list[str]:
        """Return the names of the commands so far."""
        return [name for name, _ in self.commands]

    def start(self, recording_id: str | None = None) -> None:
        """Report that media is stored."""
        self._report(RecordingStarted(recording_id=recording_id or self.newest))

    def complete(self, recording_id: str | None = None, *, duration_ms: int = 5_000) -> None:
        """Report that a recording is complete."""
        self._report(RecordingEnded(recording_id=recording_id or self.newest, duration_ms=duration_ms))

    def fail(self, fault: StorageFault | None, recording_id: str | None = None, *, duration_ms: int = 0) -> None:
        """Report that a recording has failed."""
        self._report(RecordingFailed(recording_id=recording_id or self.newest, fault=fault, duration_ms=duration_ms))
