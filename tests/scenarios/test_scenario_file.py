"""Reading scenarios: what a file may say, and the place and the rule in every refusal."""

import re
from pathlib import Path

import pytest

from stagebook.scenarios.scenario_file import (
    MAXIMUM_SIZE_BYTES,
    ScenarioError,
    parse_scenario,
    read_scenario,
    ready_scenarios,
)
from stagebook.scenarios.schedule import schedule

VALID = """
title: party
stages: {room: {}}
participants:
  host: {stage: room}
  cam: {stage: room, media: generated}
  guests: {stage: room, count: 3}
steps:
  - {at: 0, who: host, do: publish}
  - {at: 1s, who: guests, do: subscribe, to: host, over: 10s}
expect:
  host: [JOINED, PUBLISH_STARTED]
"""


def with_step(step: str) -> bytes:
    return VALID.replace("{at: 0, who: host, do: publish}", step).encode()


def test_every_scenario_that_comes_with_stagebook_is_valid() -> None:
    assert {"town-hall", "guest-spot", "flaky-phone", "thousand-viewers"} <= set(ready_scenarios())
    for name in ready_scenarios():
        scenario = read_scenario(name)
        assert scenario.title == name
        assert scenario.description


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "party.yaml"
    path.write_text(VALID, encoding="utf-8")
    assert read_scenario(str(path)).title == "party"


def test_a_name_that_is_neither_a_file_nor_known_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match=r"no-such\.yaml cannot be read .*guest-spot"):
        read_scenario("no-such.yaml")


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("{at: 0, who: nobody, do: publish}", "steps[0].who: there is no participant `nobody`"),
        ("{at: 0, who: host, do: subscribe}", "steps[0].to: `subscribe` needs it"),
        ("{at: 0, who: host, do: subscribe, to: guests}", "steps[0].to: `guests` must be a single participant"),
        ("{at: 0, who: host, do: publish, to: cam}", "steps[0].to: does not belong to `publish`"),
        ("{at: 0, who: host, do: publish, errorCode: X}", "steps[0].errorCode: does not belong to `publish`"),
        ("{at: soon, who: host, do: publish}", "steps[0].at: must be a number of seconds"),
        ("{at: 40d, who: host, do: publish}", "steps[0].at: must be at most 31 days"),
        ("{at: 0, who: cam, do: lose-connection}", "steps[0].do: `lose-connection` is for participants without media"),
        ("{at: 0, do: delete-stage, stage: attic}", "steps[0].stage: there is no stage `attic`"),
        ("{at: 0, do: delete-stage, stage: room, who: host}", "steps[0].who: does not belong to `delete-stage`"),
        ("{at: 0, do: fault, kind: CUT}", "steps[0].operation: `fault` needs it"),
        ("{at: 0, do: fault, operation: GetStage, kind: SLOW, seconds: 301}", "Expected `float` <= 300.0"),
        ("{at: 0, do: advance-clock}", "steps[0].by: `advance-clock` needs it"),
        ("{at: 0, who: host, do: dance}", "Invalid enum value 'dance' - at `$.steps[0].do`"),
        ("{at: 0, who: host, do: publish, colour: red}", "contains unknown field `colour` - at `$.steps[0]`"),
        ("{who: host, do: publish}", "missing required field `at` - at `$.steps[0]`"),
    ],
)
def test_a_step_that_breaks_a_rule_is_refused(step: str, problem: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(problem)):
        parse_scenario(with_step(step), name="party.yaml")


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("host: {stage: room}", "host: {stage: attic}", "participants.host.stage: there is no stage `attic`"),
        ("count: 3", "count: 20000", "participants: there may be at most 20,000"),
        ("count: 3", "count: 0", "Expected `int` >= 1"),
        ("host: [JOINED", "guests: [JOINED", "expect.guests: there is no single participant"),
        ("title: party", "title: a party", "matching regex"),
        ("title: party", "title: [party", "while parsing"),
        ("stages: {room: {}}", "stages: {}", "length >= 1"),
    ],
)
def test_a_scenario_that_breaks_a_rule_is_refused(before: str, after: str, problem: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(problem)):
        parse_scenario(VALID.replace(before, after).encode(), name="party.yaml")


def test_a_scenario_has_a_maximum_size() -> None:
    with pytest.raises(ScenarioError, match="at most 1048576 bytes"):
        parse_scenario(b"#" * (MAXIMUM_SIZE_BYTES + 1), name="large.yaml")


def test_a_document_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ScenarioError, match="nest"):
        parse_scenario(b"[" * 100_000, name="deep.yaml")


def test_the_schedule_is_in_order_of_time_and_spreads_a_group() -> None:
    scenario = parse_scenario(
        with_step("{at: 3s, who: host, do: publish}"),
        name="party.yaml",
    )
    assert [(each.at_ms, each.participant) for each in schedule(scenario)] == [
        (1_000, "guests-1"),
        (3_000, "host"),
        (6_000, "guests-2"),
        (11_000, "guests-3"),
    ]


def test_what_happens_at_the_same_time_keeps_the_order_of_the_scenario() -> None:
    text = VALID.replace("at: 1s", "at: 0").replace("over: 10s", "over: 0")
    positions = [each.position for each in schedule(parse_scenario(text.encode(), name="party.yaml"))]
    assert positions == [0, 1, 1, 1]
