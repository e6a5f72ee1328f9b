"""The rules of one composition: its events are moves of its states, and its row has the states that they lead to.

It is an acceptor of the histories that `stage/composition/composition_machine.py` can make.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.stage.composition.composition import Composition, CompositionState, DestinationState
from stagebook.stage.composition.composition_events import CompositionEvent, CompositionEventName

_Name = CompositionEventName
_State = DestinationState

_ENDS: Final[Mapping[CompositionEventName, CompositionState]] = {
    _Name.COMPOSITION_ENDED: CompositionState.STOPPED,
    _Name.COMPOSITION_FAILED: CompositionState.FAILED,
}
_MOVES: Final[Mapping[CompositionEventName, tuple[frozenset[DestinationState], DestinationState]]] = {
    _Name.COMPOSITION_DESTINATION_STARTED: (frozenset((_State.STARTING, _State.RECONNECTING)), _State.ACTIVE),
    _Name.COMPOSITION_DESTINATION_RECONNECTING: (frozenset((_State.ACTIVE,)), _State.RECONNECTING),
    _Name.COMPOSITION_DESTINATION_ENDED: (
        frozenset((_State.STARTING, _State.ACTIVE, _State.RECONNECTING)),
        _State.STOPPED,
    ),
    _Name.COMPOSITION_DESTINATION_FAILED: (
        frozenset((_State.STARTING, _State.ACTIVE, _State.RECONNECTING)),
        _State.FAILED,
    ),
}
"""The states in which a destination can have an event, and the state that follows. STOPPING has no event."""
MAXIMUM_DESTINATIONS: Final = 2
"""API reference, StartComposition."""
_FAILURES: Final = frozenset((_Name.COMPOSITION_FAILED, _Name.COMPOSITION_DESTINATION_FAILED))


class CompositionAudit:
    """Takes the events of a composition in their order."""

    def __init__(self, composition: Composition, *, may_add_destinations: bool = False) -> None:
        """With `may_add_destinations` the composition gets those that its events name, for an import."""
        self._composition = composition
        self._may_add = may_add_destinations
        self._states = {each.destination_id: _State.STARTING for each in composition.destinations}
        self._has_started = False
        self._end: CompositionState | None = None

    def add(self, logged: LoggedCompositionEvent) -> Iterator[tuple[BookRule, str]]:
        """Take an event; yield the rules that it breaks."""
        event = logged.event
        if self._end is not None:
            yield book_rules.COMPOSITION, f"{event.name} follows the end of the composition"
        if (event.error_code is not None) != (event.name in _FAILURES):
            yield book_rules.COMPOSITION, f"{event.name} has {event.error_code or 'no error code'}"
        if event.name in _MOVES:
            yield from self._move(event)
        elif event.destination_id is not None:
            yield book_rules.COMPOSITION, f"{event.name} has a destination"
        if event.name is _Name.COMPOSITION_STARTED:
            if self._has_started:
                yield book_rules.COMPOSITION, "the composition starts again"
            self._has_started = True
        elif event.name in _ENDS:
            self._end = _ENDS[event.name]
            if not all(state.is_final for state in self._states.values()):
                yield book_rules.COMPOSITION, f"{event.name} comes before the end of a destination"

    def _move(self, event: CompositionEvent) -> Iterator[tuple[BookRule, str]]:
        if self._may_add and event.destination_id and len(self._states) < MAXIMUM_DESTINATIONS:
            self._states.setdefault(event.destination_id, _State.STARTING)
        state = self._states.get(event.destination_id or "")
        if state is None:
            yield book_rules.COMPOSITION, f"{event.name} has no destination of the composition"
            return
        allowed, following = _MOVES[event.name]
        if state not in allowed or (following is _State.ACTIVE and not self._has_started):
            yield book_rules.COMPOSITION, f"{event.name} of a destination that is {state}"
        self._states[event.destination_id or ""] = following

    def row_faults(self) -> Iterator[tuple[BookRule, str]]:
        """Yield what the row has otherwise than the events say, after the last event."""
        yield from self.faults_of(self._composition)

    def faults_of(self, row: Composition) -> Iterator[tuple[BookRule, str]]:
        """Yield what a row of the composition has otherwise than the events say so far."""
        fits = not row.state.is_final if self._end is None else row.state is self._end
        if not fits or (self._end is None) != (row.end_ms is None):
            yield book_rules.COMPOSITION_ROW, f"the composition is {row.state}, its events say {self._end or 'it runs'}"
        for destination in row.destinations:
            state = self._states.get(destination.destination_id, _State.STARTING)
            if destination.state is not state and not (destination.state is _State.STOPPING and not state.is_final):
                yield (
                    book_rules.COMPOSITION_ROW,
                    f"destination {destination.destination_id} is {destination.state}, its events say {state}",
                )
