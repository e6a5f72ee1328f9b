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

from msgspec.structs import replace

from stagebook.stage.clock import Instant
from stagebook.stage.composition.composition import Composition, CompositionState, DestinationState
from stagebook.stage.composition.composition_draft import CompositionDecision, CompositionDraft, RunningComposition
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
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

_INTERNAL = CompositionErrorCode.INTERNAL_SERVER_EXCEPTION
_Name = CompositionEventName
_State = DestinationState


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
    draft = CompositionDraft(running, at)
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


def _destination_active(draft: CompositionDraft, fact: DestinationActive) -> None:
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


def _destination_lost(draft: CompositionDraft, fact: DestinationLost) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is not None and destination.state is _State.ACTIVE:
        draft.move(destination, _State.RECONNECTING)
        draft.emit(_Name.COMPOSITION_DESTINATION_RECONNECTING, destination)


def _destination_complete(draft: CompositionDraft, fact: DestinationComplete) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is not None and not destination.state.is_final:
        draft.move(destination, _State.STOPPED)
        cause = draft.running.cause or CompositionCause.OUTPUT
        draft.emit(_Name.COMPOSITION_DESTINATION_ENDED, destination, cause=cause)


def _destination_broken(draft: CompositionDraft, fact: DestinationBroken) -> None:
    destination = draft.destinations.get(fact.destination_id)
    if destination is not None and not destination.state.is_final:
        draft.fail(destination, fact.error_code, CompositionCause.OUTPUT)


def _composer_lost(draft: CompositionDraft, fact: ComposerLost) -> None:
    draft.has_composer = False
    draft.change(failure=draft.running.failure or _INTERNAL, cause=fact.cause)
    for destination in draft.open_destinations():
        draft.fail(destination, _INTERNAL, fact.cause)


def _publishers_seen(draft: CompositionDraft, fact: PublishersSeen) -> None:
    if fact.are_present:
        draft.change(idle_due_ms=None)
    elif draft.running.idle_due_ms is None:
        draft.change(idle_due_ms=draft.at.monotonic_ms + WITHOUT_PUBLISHER_MS)


def _stop_asked(draft: CompositionDraft, fact: StopAsked) -> None:
    draft.stop(fact.cause)


def _stage_gone(draft: CompositionDraft, _fact: StageGone) -> None:
    draft.stop(CompositionCause.STAGE_DELETED, failure=CompositionErrorCode.STAGE_DELETED)


def _time_passed(draft: CompositionDraft, _fact: TimePassed) -> None:
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


def _is_due(draft: CompositionDraft, due_ms: int | None) -> bool:
    return due_ms is not None and draft.at.monotonic_ms >= due_ms


_RULES: Mapping[type[CompositionChange], Callable[[CompositionDraft, Any], None]] = {
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
