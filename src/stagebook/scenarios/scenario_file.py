"""Reading a scenario: a YAML file, or the name of one that comes with Stagebook.

The file is checked completely before anything is played. Each error names the place and the rule:

    party.yaml: steps[3].to: there is no participant `gust`
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from stagebook.scenarios.durations import duration_ms
from stagebook.scenarios.scenario import MAXIMUM_PARTICIPANTS, Action, Media, Scenario, ScenarioStep

MAXIMUM_SIZE_BYTES = 1_048_576
MAXIMUM_DURATION_MS = 31 * 86_400_000

_READY = resources.files("stagebook.scenarios") / "ready"
_COMMON = {"at", "do"}
_OF_PARTICIPANTS = {"who", "over"}
_TOKEN = {"user_id", "attributes", "capabilities"}
_REQUIRED: dict[Action, set[str]] = {
    Action.JOIN: {"who"},
    Action.PUBLISH: {"who"},
    Action.UNPUBLISH: {"who"},
    Action.SUBSCRIBE: {"who", "to"},
    Action.UNSUBSCRIBE: {"who", "to"},
    Action.FAIL_JOIN: {"who", "error_code"},
    Action.FAIL_PUBLISH: {"who", "error_code"},
    Action.FAIL_SUBSCRIBE: {"who", "error_code"},
    Action.LOSE_CONNECTION: {"who"},
    Action.EXCHANGE_TOKEN: {"who"},
    Action.MUTE: {"who"},
    Action.LEAVE: {"who"},
    Action.DISCONNECT: {"who"},
    Action.START_REPLICATION: {"who", "stage"},
    Action.STOP_REPLICATION: {"who", "stage"},
    Action.DELETE_STAGE: {"stage"},
    Action.FAULT: {"operation", "kind"},
    Action.ADVANCE_CLOCK: {"by"},
}
"""The members that a step of each action must have."""
_OPTIONAL: dict[Action, set[str]] = {
    Action.FAIL_SUBSCRIBE: {"to"},
    Action.EXCHANGE_TOKEN: _TOKEN,
    Action.MUTE: {"audio_muted", "video_stopped"},
    Action.FAULT: {"times", "seconds"},
}
"""Further members, beside `over` for every action of participants."""
WITH_MEDIA = {
    Action.JOIN,
    Action.PUBLISH,
    Action.UNPUBLISH,
    Action.SUBSCRIBE,
    Action.UNSUBSCRIBE,
    Action.LEAVE,
    Action.DISCONNECT,
    Action.START_REPLICATION,
    Action.STOP_REPLICATION,
}
"""What a participant with media can do."""


class ScenarioError(Exception):
    """A scenario cannot be played. The message names the place and the rule."""


def ready_scenarios() -> list[str]:
    """Return the names of the scenarios that come with Stagebook."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _READY.iterdir() if entry.name.endswith(".yaml"))


def read_scenario(name: str) -> Scenario:
    """Return the scenario of a path, or the one that comes with Stagebook under this name. Raises ScenarioError."""
    if name in ready_scenarios():
        return parse_scenario((_READY / f"{name}.yaml").read_bytes(), name=name)
    path = Path(name)
    try:
        with path.open("rb") as file:
            raw = file.read(MAXIMUM_SIZE_BYTES + 1)
    except OSError as error:
        known = ", ".join(ready_scenarios())
        raise ScenarioError(f"{name} cannot be read ({error.strerror}), and is none of: {known}") from error
    return parse_scenario(raw, name=path.name)


def parse_scenario(raw: bytes, *, name: str) -> Scenario:
    """Return the scenario in a YAML document. `name` stands for it in messages. Raises ScenarioError."""
    if len(raw) > MAXIMUM_SIZE_BYTES:
        raise ScenarioError(f"{name}: a scenario may have at most {MAXIMUM_SIZE_BYTES} bytes")
    try:
        scenario = msgspec.yaml.decode(raw, type=Scenario)
    except ImportError as error:
        raise ScenarioError("scenarios need PyYAML: run `pip install 'stagebook[testing]'`") from error
    except RecursionError as error:
        raise ScenarioError(f"{name}: the document is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise ScenarioError(f"{name}: {error}") from error
    for problem in _problems(scenario):
        raise ScenarioError(f"{name}: {problem}")
    return scenario


def _problems(scenario: Scenario) -> Iterator[str]:
    if sum(group.count for group in scenario.participants.values()) > MAXIMUM_PARTICIPANTS:
        yield f"participants: there may be at most {MAXIMUM_PARTICIPANTS:,}"
    for name, group in scenario.participants.items():
        if group.stage not in scenario.stages:
            yield f"participants.{name}.stage: there is no stage `{group.stage}`"
    for index, step in enumerate(scenario.steps):
        for problem in _problems_of_step(scenario, step):
            yield f"steps[{index}].{problem}"
    singles = {name for name, group in scenario.participants.items() if group.count == 1}
    for name in scenario.expect:
        if name not in singles:
            yield f"expect.{name}: there is no single participant of this name"


def _problems_of_step(scenario: Scenario, step: ScenarioStep) -> Iterator[str]:
    yield from _problems_of_members(step)
    for member in ("at", "over", "by"):
        value = getattr(step, member)
        if value is not None:
            try:
                if duration_ms(value) > MAXIMUM_DURATION_MS:
                    yield f"{member}: must be at most {MAXIMUM_DURATION_MS // 86_400_000} days"
            except ValueError as error:
                yield f"{member}: {error}"
    for member, names in (("who", scenario.participants), ("to", scenario.participants), ("stage", scenario.stages)):
        value = getattr(step, member)
        if value is not None and value not in names:
            yield f"{member}: there is no {'stage' if member == 'stage' else 'participant'} `{value}`"
    group = scenario.participants.get(step.who or "")
    if group is not None and group.media is not Media.NONE and step.do not in WITH_MEDIA:
        yield f"do: `{step.do}` is for participants without media"
    publisher = scenario.participants.get(step.to or "")
    if publisher is not None and publisher.count != 1:
        yield f"to: `{step.to}` must be a single participant"


def _problems_of_members(step: ScenarioStep) -> Iterator[str]:
    """Yield what is missing, and what does not belong to the action."""
    required = _REQUIRED[step.do]
    allowed = _COMMON | required | _OPTIONAL.get(step.do, set())
    if "who" in required:
        allowed = allowed | _OF_PARTICIPANTS
    defaults: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(ScenarioStep)}
    for member, spelled in zip(ScenarioStep.__struct_fields__, ScenarioStep.__struct_encode_fields__, strict=True):
        is_given = member in _COMMON or getattr(step, member) != defaults[member]
        if member in required and not is_given:
            yield f"{spelled}: `{step.do}` needs it"
        elif is_given and member not in allowed:
            yield f"{spelled}: does not belong to `{step.do}`"
