"""Real and simulated recorders behind one port: a source without media has a recording without media."""

from collections.abc import Callable, Mapping, Sequence

from stagebook.media.recording.recording_port import (
    FactListener,
    RecordingEnded,
    RecordingEngine,
    RecordingFailed,
    RecordingRequest,
)
from stagebook.media.simulated.simulated_recorder import SimulatedRecorder


class MixedRecorder:
    """Implements `RecordingEngine` for a server with `--testing`."""

    def __init__(
        self, real: RecordingEngine, simulated: SimulatedRecorder, *, is_simulated: Callable[[str], bool]
    ) -> None:
        """`is_simulated` says whether a source, by its id, has no media."""
        self._real = real
        self._simulated = simulated
        self._is_simulated = is_simulated

    async def interrupted(self, recording_ids: Sequence[str]) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """As RecordingEngine.interrupted."""
        return await self._real.interrupted(recording_ids)

    def listen(self, on_fact: FactListener) -> None:
        """As RecordingEngine.listen."""
        self._real.listen(on_fact)
        self._simulated.listen(on_fact)

    def prepare(self) -> None:
        """As RecordingEngine.prepare. Nothing is prepared for what may have no media."""

    def start_recording(self, request: RecordingRequest) -> None:
        """As RecordingEngine.start_recording. A recording continues where it has started."""
        if self._simulated.has(request.recording_id) or self._is_simulated(request.source_id):
            self._simulated.start_recording(request)
        else:
            self._real.start_recording(request)

    def end_part(self, recording_id: str) -> None:
        """As RecordingEngine.end_part."""
        self._engine_of(recording_id).end_part(recording_id)

    def end_recording(self, recording_id: str) -> None:
        """As RecordingEngine.end_recording."""
        self._engine_of(recording_id).end_recording(recording_id)

    def _engine_of(self, recording_id: str) -> RecordingEngine:
        return self._simulated if self._simulated.has(recording_id) else self._real
