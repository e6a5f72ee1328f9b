"""What the testing API controls in a server: its clock, the randomness of its ids, participants without
media and their recordings, and faults.

A server without `--testing` has the clock and the randomness of the operating system and nothing that controls them.
"""

from stagebook.api.fault_table import FaultTable
from stagebook.manager.controlled.keys_of_tests import KeysOfTests
from stagebook.manager.controlled.movable_clock import MovableClock
from stagebook.manager.controlled.seeded_ids import SeededIds
from stagebook.media.composition.composition_port import CompositionEngine
from stagebook.media.recording.recording_port import RecordingEngine
from stagebook.media.simulated.mixed_composer import MixedComposer
from stagebook.media.simulated.mixed_recorder import MixedRecorder
from stagebook.media.simulated.simulated_composer import SimulatedComposer
from stagebook.media.simulated.simulated_engine import SimulatedEngine
from stagebook.media.simulated.simulated_recorder import SimulatedRecorder
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.storage.object_store import ObjectStore


class ControlledParts:
    """The parts that the testing API controls. They exist only in a server with `--testing`."""

    def __init__(self, *, store: ObjectStore) -> None:
        """`store` has the recordings."""
        self.clock = MovableClock(SystemClock())
        randomness = SystemRandomness()
        self.ids = SeededIds(randomness)
        self.simulated = SimulatedEngine()
        self.recorder = SimulatedRecorder(store=store, now_ms=self.clock.now_ms)
        self.composer = SimulatedComposer(store=store, now_ms=self.clock.now_ms)
        self.faults = FaultTable()
        self.keys = KeysOfTests(randomness)

    def with_recorder(self, real: RecordingEngine) -> RecordingEngine:
        """Return the real recorder and that of sources without media as one."""
        return MixedRecorder(real, self.recorder, is_simulated=self.simulated.publishes)

    def with_composer(self, real: CompositionEngine) -> CompositionEngine:
        """Return the real composer and that of stages without media as one."""
        return MixedComposer(real, self.composer, is_simulated=self.simulated.publishes)

    async def settled(self) -> bool:
        """Wait until all recordings and compositions without media have reported what they had to.

        Returns whether there was something to wait for.
        """
        was_recording = await self.recorder.settled()
        return await self.composer.settled() or was_recording
