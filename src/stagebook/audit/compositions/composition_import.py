"""The compositions of an import: their events, and their rows.

What `stagebook compositions list --output json` has printed gives a composition its layout, its destinations and its
tags. Without it a composition is derived from its events: it starts with the first one, and has the destinations that
they name. The states are always those that the events say.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from stagebook.audit.book_rules import BookRule
from stagebook.audit.compositions.composition_audit import CompositionAudit
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.sqlite.bulk.book_insertion import BookInsertion
from stagebook.stage.composition.composition import (
    Composition,
    CompositionDestination,
    CompositionState,
    DestinationState,
)
from stagebook.stage.composition.composition_events import CompositionEventName

_STATES: Final[Mapping[CompositionEventName, CompositionState]] = {
    CompositionEventName.COMPOSITION_STARTED: CompositionState.ACTIVE,
    CompositionEventName.COMPOSITION_ENDED: CompositionState.STOPPED,
    CompositionEventName.COMPOSITION_FAILED: CompositionState.FAILED,
}
_DESTINATION_STATES: Final[Mapping[CompositionEventName, DestinationState]] = {
    CompositionEventName.COMPOSITION_DESTINATION_STARTED: DestinationState.ACTIVE,
    CompositionEventName.COMPOSITION_DESTINATION_RECONNECTING: DestinationState.RECONNECTING,
    CompositionEventName.COMPOSITION_DESTINATION_ENDED: DestinationState.STOPPED,
    CompositionEventName.COMPOSITION_DESTINATION_FAILED: DestinationState.FAILED,
}

Fault = tuple[BookRule, str]


class ImportedComposition:
    """A composition: its key, its row so far, and what is known of it besides events."""

    __slots__ = ("audit", "given", "has_new_events", "key", "value")

    def __init__(self, key: int, value: Composition, given: Composition | None) -> None:
        self.key = key
        self.value = value
        self.given = given
        self.has_new_events = False
        are_derived = all(not each.configuration for each in value.destinations)
        self.audit = CompositionAudit(value, may_add_destinations=given is None and are_derived)


class CompositionImport:
    """The compositions of one import, by ARN. `given` are those that the source describes."""

    def __init__(
        self, insertion: BookInsertion, given: Mapping[str, Composition], *, add_stage: Callable[[Composition], None]
    ) -> None:
        """`add_stage` adds the stage of a new composition if the book does not have it."""
        self._insertion = insertion
        self._given = given
        self._add_stage = add_stage
        self._compositions: dict[str, ImportedComposition] = {}

    @property
    def count(self) -> int:
        """How many compositions the source has named."""
        return len(self._compositions)

    def begin(self) -> None:
        """Add the compositions that the source describes, in the order of their starts, so that lists keep it."""
        numbered = enumerate(self._given.values())
        # A list has the newest one first.
        for _, composition in sorted(numbered, key=lambda each: (each[1].start_ms, -each[0])):
            self._of(composition.arn, lambda: composition)  # noqa: B023 - called at once

    def add(self, logged: LoggedCompositionEvent, *, is_known: bool) -> Iterable[Fault]:
        """Add an event. Return the rules that it breaks; an event that the book has already breaks none."""
        imported = self._of(logged.composition_arn, lambda: _derived(logged))
        if is_known:
            return ()
        faults = list(imported.audit.add(logged))
        imported.value = after_event(imported.value, logged)
        imported.has_new_events = True
        self._insertion.add_composition_event(imported.key, logged.sequence, logged.event)
        return faults

    def finish(self) -> None:
        """Write the rows."""
        for each in self._compositions.values():
            agrees = each.given is not None and not any(True for _ in each.audit.faults_of(each.given))
            if each.given is not None and agrees:
                self._insertion.put_composition(each.key, each.given)
            elif each.has_new_events:
                self._insertion.put_composition(each.key, each.value)

    def _of(self, arn: str, make: Callable[[], Composition]) -> ImportedComposition:
        found = self._compositions.get(arn)
        if found is None:
            found = self._compositions[arn] = self._find_or_begin(arn, make)
        return found

    def _find_or_begin(self, arn: str, make: Callable[[], Composition]) -> ImportedComposition:
        given = self._given.get(arn)
        stored = self._insertion.find_composition(arn)
        if stored is None:
            value = make() if given is None else _without_events(given)
            self._add_stage(value)
            imported = ImportedComposition(self._insertion.add_composition(), value, given)
            self._insertion.put_composition(imported.key, value)
            return imported
        key, value = stored
        # A row that the server has written has members that a list lacks.
        is_derived = all(not each.configuration for each in value.destinations)
        imported = ImportedComposition(key, value, given if is_derived else None)
        for logged in self._insertion.composition_events(arn):
            for _ in imported.audit.add(logged):
                pass
        return imported


def after_event(composition: Composition, logged: LoggedCompositionEvent) -> Composition:
    """Return the row of a composition after an event, as the state machine writes it."""
    name, time_ms = logged.event.name, logged.time_ms
    if name in _STATES:
        state = _STATES[name]
        return replace(composition, state=state, end_ms=time_ms if state.is_final else None)
    known = {each.destination_id: each for each in composition.destinations}
    destination_id = logged.event.destination_id or ""
    destination = known.get(destination_id, CompositionDestination(destination_id=destination_id, configuration={}))
    moved = _DESTINATION_STATES[name]
    is_first = moved is DestinationState.ACTIVE and destination.start_ms is None
    known[destination_id] = replace(
        destination,
        state=moved,
        start_ms=time_ms if is_first else destination.start_ms,
        end_ms=time_ms if moved.is_final else None,
    )
    return replace(composition, destinations=tuple(known.values()))


def _derived(logged: LoggedCompositionEvent) -> Composition:
    """Return the composition of a first event."""
    return Composition(
        arn=logged.composition_arn,
        account_id=logged.account_id,
        stage_arn=logged.stage_arn,
        start_ms=logged.time_ms,
        layout={},
        destinations=(),
    )


def _without_events(given: Composition) -> Composition:
    """Return a composition as it was before its first event."""
    fresh = (replace(each, state=DestinationState.STARTING, start_ms=None, end_ms=None) for each in given.destinations)
    return replace(given, state=CompositionState.STARTING, end_ms=None, destinations=tuple(fresh))
