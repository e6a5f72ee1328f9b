"""The composer of stages without media: it writes the metadata of a composition, and no media.

Each destination starts at once, and ends when the composition is ended. A channel gets no connection. A bucket gets the
objects `events/recording-started.json` and the others before the outcome is reported.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from stagebook.media.composition.composition_port import (
    BucketOutput,
    ComposedParticipant,
    CompositionFact,
    CompositionListener,
    CompositionLost,
    CompositionRequest,
    Output,
    OutputEnded,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)
from stagebook.media.composition.processes.composing_statistics import CompositionCounts
from stagebook.media.recording.recording_metadata import (
    RecordingDescription,
    RecordingStatus,
    metadata_document,
    metadata_name,
)
from stagebook.media.simulated.report_queue import ReportQueue, put_metadata
from stagebook.storage.object_store import ObjectStore

_CLOSED_BUCKET: Final = frozenset((OutputFault.BUCKET_NOT_FOUND, OutputFault.ACCESS_DENIED))


class _Composition:
    """One open composition, with the outputs that have neither ended nor failed, by destination id."""

    def __init__(self, request: CompositionRequest) -> None:
        self.request = request
        self.outputs: dict[str, Output] = {output.destination_id: output for output in request.outputs}


class SimulatedComposer:
    """Implements `CompositionEngine` for stages without media."""

    def __init__(self, *, store: ObjectStore, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the time of the events, in milliseconds since the epoch."""
        self._store = store
        self._now_ms = now_ms
        self.max_compositions: int | None = None
        self._listener: CompositionListener = lambda _fact: None
        self.counts = CompositionCounts()
        self._compositions: dict[str, _Composition] = {}
        self._reports = ReportQueue()

    async def complete_outputs(
        self,
        composition_ids: Sequence[str],  # noqa: ARG002 - of the interface
    ) -> Collection[tuple[str, str]]:
        """As CompositionEngine.complete_outputs. It keeps nothing."""
        return ()

    def listen(self, on_fact: CompositionListener) -> None:
        """As CompositionEngine.listen."""
        self._listener = on_fact

    @property
    def composition_count(self) -> int:
        """How many compositions are open."""
        return len(self._compositions)

    def has(self, composition_id: str) -> bool:
        """Return whether a composition is open."""
        return composition_id in self._compositions

    def start_composition(self, request: CompositionRequest) -> None:
        """As CompositionEngine.start_composition."""
        composition = self._compositions[request.composition_id] = _Composition(request)
        for output in request.outputs:
            self._reports.then(self._start(composition, output))

    def show_participants(self, composition_id: str, participants: tuple[ComposedParticipant, ...]) -> None:
        """As CompositionEngine.show_participants. Nothing is drawn."""

    def end_composition(self, composition_id: str) -> None:
        """As CompositionEngine.end_composition."""
        if (composition := self._compositions.pop(composition_id, None)) is not None:
            for output in tuple(composition.outputs.values()):
                self._reports.then(self._end(composition, output))

    def forget(self, composition_id: str) -> None:
        """Report nothing more of a composition. Another engine goes on with it."""
        self._compositions.pop(composition_id, None)

    # What a test asks for

    def outputs_of(self, composition_id: str) -> tuple[Output, ...]:
        """Return the destinations that have neither ended nor failed."""
        composition = self._compositions.get(composition_id)
        return () if composition is None else tuple(composition.outputs.values())

    def reconnect(self, composition_id: str, destination_id: str) -> None:
        """Let a destination be lost and tried again, until `recover` or `fail`."""
        self._reports.then(
            self._report(OutputReconnecting(composition_id=composition_id, destination_id=destination_id))
        )

    def recover(self, composition_id: str, destination_id: str) -> None:
        """Let a destination that is tried again succeed."""
        self._reports.then(self._report(OutputStarted(composition_id=composition_id, destination_id=destination_id)))

    def fail(self, composition_id: str, destination_id: str, fault: OutputFault) -> None:
        """Let a destination fail permanently."""
        composition = self._compositions[composition_id]
        self._reports.then(self._fail(composition, composition.outputs.pop(destination_id), fault))

    def lose(self, composition_id: str) -> None:
        """Let the composition be lost as by a crash of its process."""
        if self._compositions.pop(composition_id, None) is not None:
            self._reports.then(self._report(CompositionLost(composition_id=composition_id)))

    async def settled(self) -> bool:
        """Wait until the outcome of all calls so far is reported. Returns whether there was one to wait for."""
        return await self._reports.settled()

    # What is reported

    def _on_fact(self, fact: CompositionFact) -> None:
        self.counts.note(fact)
        self._listener(fact)

    async def _report(self, fact: CompositionFact) -> None:
        self._on_fact(fact)

    async def _start(self, composition: _Composition, output: Output) -> None:
        fault = await self._write(composition, output, RecordingStatus.STARTED)
        ids = {"composition_id": composition.request.composition_id, "destination_id": output.destination_id}
        if fault is None:
            self._on_fact(OutputStarted(**ids))
        elif composition.outputs.pop(output.destination_id, None) is not None:
            self._on_fact(OutputFailed(**ids, fault=fault))

    async def _end(self, composition: _Composition, output: Output) -> None:
        if composition.outputs.pop(output.destination_id, None) is None:
            return
        fault = await self._write(composition, output, RecordingStatus.ENDED)
        ids = {"composition_id": composition.request.composition_id, "destination_id": output.destination_id}
        self._on_fact(OutputEnded(**ids) if fault is None else OutputFailed(**ids, fault=fault))

    async def _fail(self, composition: _Composition, output: Output, fault: OutputFault) -> None:
        # A bucket that is said to be closed takes no metadata.
        if fault not in _CLOSED_BUCKET:
            await self._write(composition, output, RecordingStatus.ENDED_WITH_FAILURE)
        self._on_fact(
            OutputFailed(
                composition_id=composition.request.composition_id, destination_id=output.destination_id, fault=fault
            )
        )

    async def _write(self, composition: _Composition, output: Output, status: RecordingStatus) -> OutputFault | None:
        """Write the metadata of a bucket; return why the store did not take it, or None."""
        if not isinstance(output, BucketOutput):
            return None
        request, now_ms = composition.request, self._now_ms()
        is_over = status is not RecordingStatus.STARTED
        body = metadata_document(
            _description(request, output),
            status,
            ended_ms=now_ms if is_over else None,
            duration_ms=max(now_ms - request.started_ms, 0) if is_over else None,
        )
        key = f"{output.prefix}/{metadata_name(status)}"
        fault = await put_metadata(self._store, output.bucket_name, key, body)
        return None if fault is None else OutputFault(fault.value)


def _description(request: CompositionRequest, output: BucketOutput) -> RecordingDescription:
    canvas, thumbnails = output.canvas, output.thumbnails
    return RecordingDescription(
        stage_arn=request.stage_arn,
        started_ms=request.started_ms,
        rendition=f"{canvas.height}p{canvas.frames_per_second:g}-{output.destination_id}",
        width=canvas.width,
        height=canvas.height,
        has_thumbnails=thumbnails is not None and thumbnails.is_sequential,
        has_latest_thumbnail=thumbnails is not None and thumbnails.is_latest,
        thumbnail_folder=f"{canvas.width}x{canvas.height}",
    )
