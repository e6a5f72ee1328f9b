"""A recorder whose reports the scheduler delivers: late, twice, or never."""

import random
from collections.abc import Mapping, Sequence

from stagebook.media.recording.recording_port import (
    FactListener,
    RecordingEnded,
    RecordingEngine,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
    RecordingStarted,
)
from stagebook.storage.object_store import StorageFault

FAULTS = (None, *StorageFault)


class SimulatedRecorder(RecordingEngine):
    """Implements `RecordingEngine`."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._reports: list[RecordingFact] = []
        self._on_fact: FactListener = lambda _fact: None
        self._running: set[str] = set()

    async def interrupted(self, recording_ids: Sequence[str]) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """As RecordingEngine.interrupted: of each the journal says that it has ended or failed, or there is none."""
        outcomes: dict[str, RecordingEnded | RecordingFailed] = {}
        for each in recording_ids:
            chance = self._chance.random()
            if chance < 0.3:
                outcomes[each] = RecordingEnded(recording_id=each, duration_ms=5_000)
            elif chance < 0.7:
                outcomes[each] = RecordingFailed(recording_id=each, fault=StorageFault.UNAVAILABLE, duration_ms=3_000)
        return outcomes

    def listen(self, on_fact: FactListener) -> None:
        """As RecordingEngine.listen."""
        self._on_fact = on_fact

    def prepare(self) -> None:
        """As RecordingEngine.prepare."""

    def start_recording(self, request: RecordingRequest) -> None:
        """As RecordingEngine.start_recording."""
        recording_id, chance = request.recording_id, self._chance.random()
        if chance < 0.05:
            raise RuntimeError("simulated: the recorder cannot be asked")
        if recording_id in self._running:
            return
        self._running.add(recording_id)
        if chance < 0.15:
            self._fail(recording_id)
        elif chance < 0.9:
            self._reports.append(RecordingStarted(recording_id=recording_id))

    def end_part(self, recording_id: str) -> None:
        """As RecordingEngine.end_part."""

    def end_recording(self, recording_id: str) -> None:
        """As RecordingEngine.end_recording."""
        chance = self._chance.random()
        if chance < 0.2:
            self._fail(recording_id)
        elif chance < 0.9:
            self._reports.append(RecordingEnded(recording_id=recording_id, duration_ms=5_000))

    def _fail(self, recording_id: str) -> None:
        fault = self._chance.choice(FAULTS)
        self._reports.append(RecordingFailed(recording_id=recording_id, fault=fault, duration_ms=0))

    def report(self) -> None:
        """Deliver one of the reports, now and then twice; or let a recording fail that was not asked to end."""
        if self._running and self._chance.random() < 0.03:
            self._fail(self._chance.choice(sorted(self._running)))
        if not self._reports:
            return
        # A report overtakes others now and then: recordings are independent of each other, and a worker can be slow.
        fact = self._reports.pop(0 if self._chance.random() < 0.8 else self._chance.randrange(len(self._reports)))
        self._on_fact(fact)
        if self._chance.random() < 0.1:
            self._on_fact(fact)
