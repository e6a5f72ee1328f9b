"""The state machine of a composition: `decide_composition(running, fact, at) -> CompositionDecision`.

    STARTING -> ACTIVE      the first destination is active
    STARTING, ACTIVE -> STOPPING -> STOPPED
                            StopComposition, no publisher for 60 s, 24 hours, end of the server
    ... -> FAILED           every destination has failed, the stage is deleted, or what composes is lost

It goes on while one destination can. Each destination has its own state; STARTING and STOPPING end by themselves, so a
composition always ends. Each composition has exactly one COMPOSITION_ENDED or COMPOSITION_FAILED, after the events of
its destinations, and nothing follows it. COMPOSITION_STARTED is before the first COMPOSITION_DESTINATION_STARTED.

Sources: user guide, "Server-Side Composition"; API reference, StartComposition; the EventBridge page of the user guide.
"""

from collections.abc import Callable, Iterable, Mapping
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
from stagebook.stage.composition.composition_facts import (
    ComposerLost,
    CompositionChange,
    DestinationActive,
    DestinationBroken,
    DestinationComplete,
    DestinationLost,
    PublishersSeen,
    StageGone,
    StopAsked,
    TimePassed,
)

WITHOUT_PUBLISHER_MS = 60_000
"""How long a composition goes on without a publisher (API reference, StartComposition)."""
MAXIMUM_DURATION_MS = 24 * 3_600_000
"""User guide, "Service Quotas": composition duration."""
STARTING_MS = 30_000
"""How long a destination may take to become active."""
STOPPING_MS = 120_000
"""How long the destinations may take to complete: what was composed is still being uploaded."""

_INTERNAL = CompositionErrorCode.INTERNAL_SERVER_EXCEPTION
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


def begin_composition(composition: Composition, at: Instant) -> RunningComposition:
    """Return a new composition as it starts, on a stage without a publisher so far."""
    return RunningComposition(
        composition=composition,
        duration_due_ms=at.monotonic_ms + MAXIMUM_DURATION_MS,
        starting_due_ms=at.monotonic_ms + STARTING_MS,
        idle_due_ms=at.monotonic_ms + WITHOUT_PUBLISHER_MS,
    )


def decide_composition(running: RunningComposition, fact: CompositionChange, at: Instant) -> CompositionDecision:
    """Return what a fact leads to. A fact that does not fit the state, or names no destination, changes nothing."""
    if running.composition.state.is_final:
        return CompositionDecision(running=running)
    draft = _Draft(running, at)
    _RULES[type(fact)](draft, fact)
    draft.conclude()
    return draft.decision()


def interrupted(composition: Composition, at: Instant, *, complete: Iterable[str] = ()) -> list[CompositionDecision]:
    """Return the end of a composition that an interrupted run of the server has left, one decision after the other.

    `complete` are the ids of the destinations that are complete; those that are open beside them have failed.
    """
    decisions: list[CompositionDecision] = []
    running = begin_composition(composition, at)
    running = replace(running, cause=CompositionCause.CRASH_RECOVERY)
    facts: list[CompositionChange] = [DestinationComplete(destination_id=each) for each in complete]
    for fact in (*facts, ComposerLost(cause=CompositionCause.CRASH_RECOVERY)):
        decision = decide_composition(running, fact, at)
        if decision.events:
            decisions.append(decision)
        running = decision.running
    return decisions


class _Draft:
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


def _destination_active(draft: _Draft, fact: DestinationActive) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is None or destination.state not in (_State.STARTING, _State.RECONNECTING):
        return
    if draft.state is CompositionState.STARTING:
        draft.state = CompositionState.ACTIVE
        draft.emit(_Name.COMPOSITION_STARTED)
    draft.move(destination, _State.ACTIVE)
    draft.emit(_Name.COMPOSITION_DESTINATION_STARTED, destination)
    if not any(each.state is _State.STARTING for each in draft.destinations.values()):
        draft.change(starting_due_ms=None)


def _destination_lost(draft: _Draft, fact: DestinationLost) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is not None and destination.state is _State.ACTIVE:
        draft.move(destination, _State.RECONNECTING)
        draft.emit(_Name.COMPOSITION_DESTINATION_RECONNECTING, destination)


def _destination_complete(draft: _Draft, fact: DestinationComplete) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is not None and not destination.state.is_final:
        draft.move(destination, _State.STOPPED)
        cause = draft.running.cause or CompositionCause.OUTPUT
        draft.emit(_Name.COMPOSITION_DESTINATION_ENDED, destination, cause=cause)


def _destination_broken(draft: _Draft, fact: DestinationBroken) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is not None and not destination.state.is_final:
        draft.fail(destination, fact.error_code, CompositionCause.OUTPUT)


def _composer_lost(draft: _Draft, fact: ComposerLost) -> None:
    draft.has_composer = False
    draft.change(failure=draft.running.failure or _INTERNAL, cause=fact.cause)
    for destination in draft.open_destinations():
        draft.fail(destination, _INTERNAL, fact.cause)


def _publishers_seen(draft: _Draft, fact: PublishersSeen) -> None:
    if fact.are_present:
        draft.change(idle_due_ms=None)
    elif draft.running.idle_due_ms is None:
        draft.change(idle_due_ms=draft.at.monotonic_ms + WITHOUT_PUBLISHER_MS)


def _stop_asked(draft: _Draft, fact: StopAsked) -> None:
    draft.stop(fact.cause)


def _stage_gone(draft: _Draft, _fact: StageGone) -> None:
    draft.stop(CompositionCause.STAGE_DELETED, failure=CompositionErrorCode.STAGE_DELETED)


def _time_passed(draft: _Draft, _fact: TimePassed) -> None:
    running = draft.running
    if running.stopping_due_ms is not None:
        if _is_due(draft, running.stopping_due_ms):
            for destination in draft.open_destinations():
                draft.fail(destination, _INTERNAL, CompositionCause.TIMEOUT)
    elif _is_due(draft, running.duration_due_ms):
        draft.stop(CompositionCause.DURATION)
    elif _is_due(draft, running.idle_due_ms):
        draft.stop(CompositionCause.NO_PUBLISHER)
    elif _is_due(draft, running.starting_due_ms):
        draft.change(starting_due_ms=None)
        for destination in draft.open_destinations():
            if destination.state is _State.STARTING:
                draft.fail(destination, _INTERNAL, CompositionCause.TIMEOUT)


def _is_due(draft: _Draft, due_ms: int | None) -> bool:
    return due_ms is not None and draft.at.monotonic_ms >= due_ms


_RULES: Mapping[type[CompositionChange], Callable[[_Draft, Any], None]] = {
    DestinationActive: _destination_active,
    DestinationLost: _destination_lost,
    DestinationComplete: _destination_complete,
    DestinationBroken: _destination_broken,
    ComposerLost: _composer_lost,
    PublishersSeen: _publishers_seen,
    StopAsked: _stop_asked,
    StageGone: _stage_gone,
    TimePassed: _time_passed,
}
