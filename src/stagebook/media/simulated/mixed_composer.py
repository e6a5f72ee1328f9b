"""Real and simulated composers behind one port: a composition without media becomes a real one when media arrives.

A composition starts without participants, so nobody knows yet whether its publishers will have media. It is simulated
until the first publisher with media is shown. From then on the real engine composes it, and starts its destinations
anew, whose starts the manager already knows.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

from stagebook.media.composition.composition_port import (
    ComposedParticipant,
    CompositionEngine,
    CompositionFact,
    CompositionListener,
    CompositionRequest,
    OutputStarted,
)
from stagebook.media.simulated.simulated_composer import SimulatedComposer


class MixedComposer:
    """Implements `CompositionEngine` for a server with `--testing`."""

    def __init__(
        self, real: CompositionEngine, simulated: SimulatedComposer, *, is_simulated: Callable[[str], bool]
    ) -> None:
        """`is_simulated` says whether a source, by its id, has no media."""
        self._real = real
        self._simulated = simulated
        self._is_simulated = is_simulated
        self._requests: dict[str, CompositionRequest] = {}
        """Of the simulated compositions, what the real engine would be asked for."""
        self._announced: set[tuple[str, str]] = set()
        """The destinations of which the next OutputStarted is none: by composition id and destination id."""
        self._on_fact: CompositionListener = lambda _fact: None

    @property
    def max_compositions(self) -> int | None:
        """As CompositionEngine.max_compositions. Compositions without media have no maximum."""
        return None

    async def complete_outputs(self, composition_ids: Sequence[str]) -> Collection[tuple[str, str]]:
        """As CompositionEngine.complete_outputs."""
        return await self._real.complete_outputs(composition_ids)

    def listen(self, on_fact: CompositionListener) -> None:
        """As CompositionEngine.listen."""
        self._on_fact = on_fact
        self._simulated.listen(on_fact)
        self._real.listen(self._on_real_fact)

    def start_composition(self, request: CompositionRequest) -> None:
        """As CompositionEngine.start_composition."""
        self._requests[request.composition_id] = request
        self._simulated.start_composition(request)

    def show_participants(self, composition_id: str, participants: tuple[ComposedParticipant, ...]) -> None:
        """As CompositionEngine.show_participants. Those without media are not drawn."""
        present = tuple(each for each in participants if not self._is_simulated(each.source_id))
        if composition_id in self._requests:
            if not present:
                return
            self._become_real(self._requests.pop(composition_id))
        self._real.show_participants(composition_id, present)

    def end_composition(self, composition_id: str) -> None:
        """As CompositionEngine.end_composition."""
        if self._requests.pop(composition_id, None) is None:
            self._real.end_composition(composition_id)
        else:
            self._simulated.end_composition(composition_id)

    def _become_real(self, request: CompositionRequest) -> None:
        composition_id = request.composition_id
        if not self._simulated.has(composition_id):
            return
        open_outputs = self._simulated.outputs_of(composition_id)
        self._simulated.forget(composition_id)
        self._announced |= {(composition_id, output.destination_id) for output in open_outputs}
        self._real.start_composition(request)

    def _on_real_fact(self, fact: CompositionFact) -> "asyncio.Future[None] | None":
        if isinstance(fact, OutputStarted):
            pair = (fact.composition_id, fact.destination_id)
            if pair in self._announced:
                self._announced.discard(pair)
                return None
        return self._on_fact(fact)
