"""A decision about a composition that is being made: the next state of the composition and of its destinations.

`composition_machine` has the rules that change it.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from stagebook.stage.clock import Instant
from stagebook.stage.composition.composition import (
    Composition,
    CompositionDestination,
    CompositionState,
    DestinationState,
)
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)

STOPPING_MS = 120_000
"""How long the destinations may take to complete: what was composed is still being uploaded."""

_Name = CompositionEventName
_State = DestinationState


class RunningComposition(msgspec.Struct, frozen=True, kw_only=True):
    """A composition and what the server remembers of it while it runs. Times are monotonic, in milliseconds.

    `failure` is the error code with which it ends, and `cause` why it ends. A time of None is not awaited.
    """

    composition: Composition
    duration_due_ms: int
    starting_due_ms: int | None
    idle_due_ms: int | None
    stopping_due_ms: int | None = None
    failure: CompositionErrorCode | None = None
    cause: CompositionCause | None = None

    @property
    def next_due_ms(self) -> int | None:
        """When TimePassed has an effect next; None once the composition has ended."""
        if self.composition.state.is_final:
            return None
        due = (self.stopping_due_ms,) if self.stopping_due_ms is not None else self._running_due_ms
        return min(each for each in due if each is not None)

    @property
    def _running_due_ms(self) -> tuple[int | None, ...]:
        return self.duration_due_ms, self.starting_due_ms, self.idle_due_ms


class CompositionDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The next state, the events in order, and whether what composes is to end."""

    running: RunningComposition
    events: tuple[CompositionEvent, ...] = ()
    ends_composer: bool = False


class CompositionDraft:
    """A decision that is being made."""

    def __init__(self, running: RunningComposition, at: Instant) -> None:
        self.running = running
        self.at = at
        self.state = running.composition.state
        self.destinations = {each.destination_id: each for each in running.composition.destinations}
        self.events: list[CompositionEvent] = []
        self.ends_composer = False
        self.has_composer = True

    def open_destinations(self) -> list[CompositionDestination]:
        """Return the destinations that have not ended."""
        return [each for each in self.destinations.values() if not each.state.is_final]

    def change(self, **members: Any) -> None:  # noqa: ANN401 - members of RunningComposition
        """Change members of the running composition."""
        self.running = replace(self.running, **members)

    def move(self, destination: CompositionDestination, state: DestinationState) -> None:
        """Give a destination a state, and the times that belong to it."""
        is_first = state is _State.ACTIVE and destination.start_ms is None
        self.destinations[destination.destination_id] = replace(
            destination,
            state=state,
            start_ms=self.at.wall_ms if is_first else destination.start_ms,
            end_ms=self.at.wall_ms if state.is_final else None,
        )

    def emit(
        self,
        name: CompositionEventName,
        destination: CompositionDestination | None = None,
        *,
        error_code: CompositionErrorCode | None = None,
        cause: CompositionCause | None = None,
    ) -> None:
        """Add an event."""
        destination_id = None if destination is None else destination.destination_id
        self.events.append(
            CompositionEvent(name=name, destination_id=destination_id, error_code=error_code, cause=cause)
        )

    def fail(
        self, destination: CompositionDestination, error_code: CompositionErrorCode, cause: CompositionCause
    ) -> None:
        """Fail a destination."""
        self.move(destination, _State.FAILED)
        self.emit(_Name.COMPOSITION_DESTINATION_FAILED, destination, error_code=error_code, cause=cause)

    def stop(self, cause: CompositionCause, *, failure: CompositionErrorCode | None = None) -> None:
        """Let the destinations complete. A composition that stops already goes on with its cause."""
        if self.state is CompositionState.STOPPING:
            return
        self.state = CompositionState.STOPPING
        self.ends_composer = True
        self.change(cause=cause, failure=failure, stopping_due_ms=self.at.monotonic_ms + STOPPING_MS)
        for destination in self.open_destinations():
            self.move(destination, _State.STOPPING)

    def conclude(self) -> None:
        """End the composition if no destination is left."""
        if self.open_destinations():
            return
        have_all_failed = all(each.state is _State.FAILED for each in self.destinations.values())
        failure = self.running.failure or (CompositionErrorCode.DESTINATION_FAILURE if have_all_failed else None)
        if self.state is not CompositionState.STOPPING:
            # Nothing has stopped it, so what composes still runs, unless it is lost.
            self.ends_composer = self.has_composer
        self.state = CompositionState.STOPPED if failure is None else CompositionState.FAILED
        name = _Name.COMPOSITION_ENDED if failure is None else _Name.COMPOSITION_FAILED
        self.emit(name, error_code=failure, cause=self.running.cause or CompositionCause.OUTPUT)

    def decision(self) -> CompositionDecision:
        """Return the decision."""
        before = self.running.composition
        composition = replace(
            before,
            state=self.state,
            destinations=tuple(self.destinations[each.destination_id] for each in before.destinations),
            end_ms=self.at.wall_ms if self.state.is_final else None,
        )
        return CompositionDecision(
            running=replace(self.running, composition=composition),
            events=tuple(self.events),
            ends_composer=self.ends_composer,
        )
