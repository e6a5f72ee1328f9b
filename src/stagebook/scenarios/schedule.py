"""The schedule of a scenario: its steps in order of time, with the group of a step spread over the step's duration."""

from collections.abc import Iterator, Sequence

import msgspec

from stagebook.scenarios.durations import duration_ms
from stagebook.scenarios.scenario import Scenario, ScenarioStep

GRID_MS = 250
"""Members of a group follow at multiples of this time, so that a large group needs few moves of the clock."""


class ScheduledStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step for one participant, or for none, with its time since the start of the scenario."""

    at_ms: int
    position: int
    """The position of the step in the scenario."""
    step: ScenarioStep
    participant: str | None = None


def member_names(scenario: Scenario, group_name: str) -> Sequence[str]:
    """Return the names of the participants of a group."""
    count = scenario.participants[group_name].count
    return [group_name] if count == 1 else [f"{group_name}-{number}" for number in range(1, count + 1)]


def schedule(scenario: Scenario) -> list[ScheduledStep]:
    """Return what happens, in order of time; what happens at the same time, in the order of the scenario."""
    return sorted(_scheduled(scenario), key=lambda each: (each.at_ms, each.position))


def _scheduled(scenario: Scenario) -> Iterator[ScheduledStep]:
    for position, step in enumerate(scenario.steps):
        at_ms = duration_ms(step.at)
        if step.who is None:
            yield ScheduledStep(at_ms=at_ms, position=position, step=step)
            continue
        names = member_names(scenario, step.who)
        over_ms = duration_ms(step.over)
        for number, name in enumerate(names):
            offset_ms = over_ms * number // max(1, len(names) - 1) // GRID_MS * GRID_MS
            yield ScheduledStep(at_ms=at_ms + offset_ms, position=position, step=step, participant=name)
