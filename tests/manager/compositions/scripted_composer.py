"""A composition engine that records what it is told, and reports what a test says."""

from collections.abc import Collection, Sequence

from stagebook.media.composition.composition_port import (
    ComposedParticipant,
    CompositionEngine,
    CompositionListener,
    CompositionLost,
    CompositionRequest,
    OutputEnded,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)


class ScriptedComposer(CompositionEngine):
    """Implements `CompositionEngine`. With `completes`, destinations end as soon as they are told to."""

    max_compositions: int | None = None

    def __init__(self, *, completes: bool = True) -> None:
        self.completes = completes
        self.requests: dict[str, CompositionRequest] = {}
        self.shown: dict[str, list[tuple[ComposedParticipant, ...]]] = {}
        self.ended: list[str] = []
        self.complete_before: list[tuple[str, str]] = []
        """The destinations of an earlier run that are complete."""
        self._report: CompositionListener = lambda _fact: None

    async def complete_outputs(self, composition_ids: Sequence[str]) -> Collection[tuple[str, str]]:
        return [each for each in self.complete_before if each[0] in composition_ids]

    def listen(self, on_fact: CompositionListener) -> None:
        self._report = on_fact

    def start_composition(self, request: CompositionRequest) -> None:
        assert request.composition_id not in self.requests
        self.requests[request.composition_id] = request
        self.shown[request.composition_id] = []

    def show_participants(self, composition_id: str, participants: tuple[ComposedParticipant, ...]) -> None:
        self.shown[composition_id].append(participants)

    def end_composition(self, composition_id: str) -> None:
        assert composition_id in self.requests
        self.ended.append(composition_id)
        if self.completes:
            self.complete(composition_id)

    def outputs(self, composition_id: str) -> list[str]:
        """Return the ids of the destinations of a composition."""
        return [each.destination_id for each in self.requests[composition_id].outputs]

    def start_outputs(self, composition_id: str) -> None:
        """Report that all destinations take what is composed."""
        for destination_id in self.outputs(composition_id):
            self._report(OutputStarted(composition_id=composition_id, destination_id=destination_id))

    def complete(self, composition_id: str) -> None:
        """Report that all destinations are complete."""
        for destination_id in self.outputs(composition_id):
            self._report(OutputEnded(composition_id=composition_id, destination_id=destination_id))

    def reconnect(self, composition_id: str, destination_id: str) -> None:
        """Report that a destination was lost, and is tried again."""
        self._report(OutputReconnecting(composition_id=composition_id, destination_id=destination_id))

    def fail(self, composition_id: str, destination_id: str, fault: OutputFault = OutputFault.INTERNAL) -> None:
        """Report that a destination has failed."""
        self._report(OutputFailed(composition_id=composition_id, destination_id=destination_id, fault=fault))

    def lose(self, composition_id: str) -> None:
        """Report that the process of a composition has exited."""
        self._report(CompositionLost(composition_id=composition_id))
