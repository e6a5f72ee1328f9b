"""The state machine of compositions: tables of single steps, and properties of every order of facts."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.stage.clock import Instant
from stagebook.stage.composition.composition import (
    Composition,
    CompositionDestination,
    CompositionState,
    DestinationState,
)
from stagebook.stage.composition.composition_draft import STOPPING_MS, RunningComposition
from stagebook.stage.composition.composition_events import (
    COMPOSITION_REASONS,
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
from stagebook.stage.composition.composition_machine import (
    MAXIMUM_DURATION_MS,
    STARTING_MS,
    WITHOUT_PUBLISHER_MS,
    begin_composition,
    decide_composition,
    interrupted,
)

WALL_MS = 1_700_000_000_000
NAMES = {name: name.value.removeprefix("COMPOSITION_") for name in CompositionEventName}
INTERNAL = CompositionErrorCode.INTERNAL_SERVER_EXCEPTION
PRESENT = PublishersSeen(are_present=True)
ABSENT = PublishersSeen(are_present=False)


def at(ms: int) -> Instant:
    """Return a moment, in milliseconds after the start."""
    return Instant(wall_ms=WALL_MS + ms, monotonic_ms=5_000 + ms)


def started(*destination_ids: str) -> RunningComposition:
    composition = Composition(
        arn="arn:aws:ivs:us-west-2:123456789012:composition/abcdABCDefgh",
        account_id="123456789012",
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
        start_ms=WALL_MS,
        layout={},
        destinations=tuple(
            CompositionDestination(destination_id=each, configuration={}) for each in destination_ids or ("a",)
        ),
    )
    return begin_composition(composition, at(0))


class Play:
    """A composition that facts happen to."""

    def __init__(self, *destination_ids: str) -> None:
        self.running = started(*destination_ids)
        self.events: list[CompositionEvent] = []
        self.ends = 0
        self.ms = 0

    def __call__(self, *facts: CompositionChange, after_ms: int = 0) -> "Play":
        self.ms += after_ms
        for fact in facts:
            decision = decide_composition(self.running, fact, at(self.ms))
            self.running = decision.running
            self.events += decision.events
            self.ends += decision.ends_composer
        return self

    @property
    def state(self) -> str:
        return self.running.composition.state.value

    @property
    def destination_states(self) -> list[str]:
        return [each.state.value for each in self.running.composition.destinations]

    @property
    def told(self) -> list[str]:
        """The events: NAME, NAME(destination), with :CODE if it has one."""
        return [
            NAMES[each.name]
            + (f"({each.destination_id})" if each.destination_id else "")
            + (f":{each.error_code.value}" if each.error_code else "")
            for each in self.events
        ]


ACTIVE_A, ACTIVE_B = DestinationActive(destination_id="a"), DestinationActive(destination_id="b")
COMPLETE_A, COMPLETE_B = DestinationComplete(destination_id="a"), DestinationComplete(destination_id="b")
LOST_A = DestinationLost(destination_id="a")
BROKEN_A = DestinationBroken(destination_id="a", error_code=CompositionErrorCode.ACCESS_DENIED_EXCEPTION)
BROKEN_B = DestinationBroken(destination_id="b", error_code=CompositionErrorCode.CONFLICT_EXCEPTION)


def test_a_composition_is_active_with_its_first_destination_and_stops_when_asked() -> None:
    play = Play("a", "b")(PRESENT, ACTIVE_A, after_ms=10)
    assert (play.state, play.destination_states) == ("ACTIVE", ["ACTIVE", "STARTING"])
    play(ACTIVE_B, after_ms=10)(StopAsked(), after_ms=10)
    assert (play.state, play.destination_states, play.ends) == ("STOPPING", ["STOPPING", "STOPPING"], 1)
    play(COMPLETE_A, COMPLETE_B, after_ms=10)
    assert (play.state, play.destination_states, play.ends) == ("STOPPED", ["STOPPED", "STOPPED"], 1)
    assert play.told == [
        "STARTED",
        "DESTINATION_STARTED(a)",
        "DESTINATION_STARTED(b)",
        "DESTINATION_ENDED(a)",
        "DESTINATION_ENDED(b)",
        "ENDED",
    ]
    composition = play.running.composition
    assert composition.end_ms == WALL_MS + 40
    assert [(each.start_ms, each.end_ms) for each in composition.destinations] == [
        (WALL_MS + 10, WALL_MS + 40),
        (WALL_MS + 20, WALL_MS + 40),
    ]


def test_a_composition_without_a_publisher_from_the_start_stops_after_a_minute() -> None:
    play = Play()(ACTIVE_A)(TimePassed(), after_ms=WITHOUT_PUBLISHER_MS - 1)
    assert play.state == "ACTIVE"
    play(TimePassed(), after_ms=1)
    assert (play.state, play.running.cause) == ("STOPPING", CompositionCause.NO_PUBLISHER)


def test_the_minute_begins_when_the_last_publisher_has_gone() -> None:
    play = Play()(ACTIVE_A, PRESENT)(ABSENT, after_ms=100_000)(ABSENT, after_ms=30_000)
    play(TimePassed(), after_ms=WITHOUT_PUBLISHER_MS - 30_001)
    assert play.state == "ACTIVE"
    assert play(TimePassed(), after_ms=1).state == "STOPPING"


def test_a_publisher_that_returns_within_the_minute_keeps_the_composition() -> None:
    play = Play()(ACTIVE_A, PRESENT)(ABSENT, after_ms=10)(PRESENT, after_ms=WITHOUT_PUBLISHER_MS - 1)
    assert play(TimePassed(), after_ms=WITHOUT_PUBLISHER_MS).state == "ACTIVE"


def test_a_composition_stops_after_a_day() -> None:
    play = Play()(ACTIVE_A, PRESENT)(TimePassed(), after_ms=MAXIMUM_DURATION_MS - 1)
    assert play.state == "ACTIVE"
    play(TimePassed(), after_ms=1)(COMPLETE_A)
    assert (play.state, play.events[-1].cause) == ("STOPPED", CompositionCause.DURATION)


def test_a_deleted_stage_fails_the_composition_when_its_destinations_are_complete() -> None:
    play = Play()(ACTIVE_A, PRESENT, StageGone())
    assert (play.state, play.ends) == ("STOPPING", 1)
    play(COMPLETE_A)
    assert (play.state, play.destination_states) == ("FAILED", ["STOPPED"])
    assert play.told[-2:] == ["DESTINATION_ENDED(a)", "FAILED:StageDeleted"]


def test_a_composition_goes_on_with_one_destination_and_fails_with_the_last() -> None:
    play = Play("a", "b")(ACTIVE_A, ACTIVE_B, BROKEN_A)
    assert (play.state, play.destination_states, play.ends) == ("ACTIVE", ["FAILED", "ACTIVE"], 0)
    play(BROKEN_B)
    assert (play.state, play.ends) == ("FAILED", 1)
    assert play.told[3:] == [
        "DESTINATION_FAILED(a):AccessDeniedException",
        "DESTINATION_FAILED(b):ConflictException",
        "FAILED:DestinationFailure",
    ]


def test_a_composition_with_one_failed_destination_ends_as_stopped() -> None:
    play = Play("a", "b")(ACTIVE_A, ACTIVE_B, BROKEN_A, StopAsked(), COMPLETE_B)
    assert (play.state, play.told[-1]) == ("STOPPED", "ENDED")


def test_a_composition_whose_destinations_never_start_fails_without_having_started() -> None:
    assert Play()(BROKEN_A).told == ["DESTINATION_FAILED(a):AccessDeniedException", "FAILED:DestinationFailure"]


def test_a_destination_reconnects_and_is_active_again() -> None:
    play = Play()(ACTIVE_A, LOST_A)
    assert (play.state, play.destination_states) == ("ACTIVE", ["RECONNECTING"])
    assert play(ACTIVE_A, after_ms=10).destination_states == ["ACTIVE"]
    assert play.told[1:] == ["DESTINATION_STARTED(a)", "DESTINATION_RECONNECTING(a)", "DESTINATION_STARTED(a)"]
    assert play.running.composition.destinations[0].start_ms == WALL_MS


def test_starting_and_stopping_end_by_themselves() -> None:
    play = Play("a", "b")(PRESENT, ACTIVE_A)(TimePassed(), after_ms=STARTING_MS)
    assert (play.state, play.destination_states) == ("ACTIVE", ["ACTIVE", "FAILED"])
    play(StopAsked())(TimePassed(), after_ms=STOPPING_MS - 1)
    assert play.state == "STOPPING"
    play(TimePassed(), after_ms=1)
    assert (play.state, play.told[-1]) == ("FAILED", "FAILED:DestinationFailure")


@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_lost_composer_fails_everything_and_is_not_told_to_end(*, is_stopping: bool) -> None:
    play = Play("a", "b")(ACTIVE_A)(*[StopAsked()] * is_stopping)
    ends = play.ends
    play(ComposerLost())
    assert (play.state, play.destination_states, play.ends) == ("FAILED", ["FAILED", "FAILED"], ends)
    assert play.told[-3:] == [
        "DESTINATION_FAILED(a):InternalServerException",
        "DESTINATION_FAILED(b):InternalServerException",
        "FAILED:InternalServerException",
    ]


def test_an_interrupted_composition_fails_where_it_had_not_ended() -> None:
    play = Play("a", "b")(ACTIVE_A, ACTIVE_B, BROKEN_A)
    [decision] = interrupted(play.running.composition, at(70))
    assert decision.running.composition.state is CompositionState.FAILED
    assert [(each.name, each.destination_id, each.error_code, each.cause) for each in decision.events] == [
        (CompositionEventName.COMPOSITION_DESTINATION_FAILED, "b", INTERNAL, CompositionCause.CRASH_RECOVERY),
        (CompositionEventName.COMPOSITION_FAILED, None, INTERNAL, CompositionCause.CRASH_RECOVERY),
    ]


def test_an_interrupted_composition_has_ended_where_its_destinations_are_complete() -> None:
    play = Play("a", "b")(ACTIVE_A, ACTIVE_B, StopAsked())
    ended, lost = interrupted(play.running.composition, at(70), complete=["a"])
    assert [(each.name, each.destination_id) for each in ended.events] == [
        (CompositionEventName.COMPOSITION_DESTINATION_ENDED, "a")
    ]
    assert [(each.name, each.destination_id) for each in lost.events] == [
        (CompositionEventName.COMPOSITION_DESTINATION_FAILED, "b"),
        (CompositionEventName.COMPOSITION_FAILED, None),
    ]
    *_, last = interrupted(play.running.composition, at(70), complete=["a", "b"])
    assert last.running.composition.state is CompositionState.STOPPED
    assert [(each.name, each.cause) for each in last.events][-1] == (
        CompositionEventName.COMPOSITION_ENDED,
        CompositionCause.CRASH_RECOVERY,
    )


def test_a_stop_is_not_repeated_and_keeps_its_cause() -> None:
    play = Play()(ACTIVE_A, StopAsked())(StageGone(), StopAsked(cause=CompositionCause.SHUTDOWN), after_ms=9)
    assert (play.ends, play.running.cause) == (1, CompositionCause.STOPPED_BY_API)
    assert play.running.next_due_ms == at(STOPPING_MS).monotonic_ms


def test_each_error_code_has_its_documented_reason() -> None:
    assert set(COMPOSITION_REASONS) == set(CompositionErrorCode)


destination_ids = st.sampled_from(["a", "b", "unknown"])
facts = st.one_of(
    st.builds(DestinationActive, destination_id=destination_ids),
    st.builds(DestinationLost, destination_id=destination_ids),
    st.builds(DestinationComplete, destination_id=destination_ids),
    st.builds(DestinationBroken, destination_id=destination_ids, error_code=st.sampled_from(CompositionErrorCode)),
    st.builds(ComposerLost),
    st.builds(PublishersSeen, are_present=st.booleans()),
    st.builds(StopAsked, cause=st.sampled_from([CompositionCause.STOPPED_BY_API, CompositionCause.SHUTDOWN])),
    st.just(StageGone()),
    st.just(TimePassed()),
)
steps = st.tuples(facts, st.sampled_from([0, 1, 1_000, STARTING_MS, WITHOUT_PUBLISHER_MS, MAXIMUM_DURATION_MS]))


@given(st.lists(steps, max_size=12))
def test_every_order_of_facts_keeps_the_rules(played: list[tuple[CompositionChange, int]]) -> None:
    play = Play("a", "b")
    for fact, after_ms in played:
        was_final, count = play.running.composition.state.is_final, len(play.events)
        play(fact, after_ms=after_ms)
        assert not was_final or len(play.events) == count, "an event after the end"
        _require_consistent(play.running.composition)
    # Time alone ends every composition.
    while (due_ms := play.running.next_due_ms) is not None:
        play(TimePassed(), after_ms=max(0, due_ms - 5_000 - play.ms))
        _require_consistent(play.running.composition)
    _require_complete(play)


def _require_consistent(composition: Composition) -> None:
    states = [each.state for each in composition.destinations]
    assert composition.state.is_final == all(state.is_final for state in states)
    assert (composition.end_ms is not None) == composition.state.is_final
    for each in composition.destinations:
        assert (each.end_ms is not None) == each.state.is_final
        assert each.start_ms is not None or each.state not in (DestinationState.ACTIVE, DestinationState.RECONNECTING)
    if composition.state is CompositionState.STOPPING:
        assert set(states) <= {DestinationState.STOPPING, DestinationState.STOPPED, DestinationState.FAILED}


def _require_complete(play: Play) -> None:
    names = [each.name for each in play.events]
    counts = Counter(names)
    assert names[-1] in (CompositionEventName.COMPOSITION_ENDED, CompositionEventName.COMPOSITION_FAILED)
    assert counts[CompositionEventName.COMPOSITION_ENDED] + counts[CompositionEventName.COMPOSITION_FAILED] == 1
    has_started = CompositionEventName.COMPOSITION_DESTINATION_STARTED in names
    assert counts[CompositionEventName.COMPOSITION_STARTED] == has_started
    if has_started:
        first = names.index(CompositionEventName.COMPOSITION_DESTINATION_STARTED)
        assert names.index(CompositionEventName.COMPOSITION_STARTED) < first
    for destination in play.running.composition.destinations:
        ends = [
            each
            for each in play.events
            if each.destination_id == destination.destination_id
            and each.name
            in (
                CompositionEventName.COMPOSITION_DESTINATION_ENDED,
                CompositionEventName.COMPOSITION_DESTINATION_FAILED,
            )
        ]
        assert len(ends) == 1
    for event in play.events:
        assert (event.error_code is not None) == event.name.value.endswith("FAILED")
    assert play.ends <= 1
