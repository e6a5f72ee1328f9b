"""The check of compositions: it finds nothing in what the state machine makes, and each kind of damage."""

import tempfile
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.audit.book_check import check_book
from stagebook.audit.book_rules import COMPOSITION, COMPOSITION_ROW, REFERENCES, SEQUENCE, VALUES, BookRule, Violation
from stagebook.book.changes import Change
from stagebook.stage.clock import Instant
from stagebook.stage.composition.composition_events import CompositionCause, CompositionErrorCode
from stagebook.stage.composition.composition_facts import (
    ComposerLost,
    CompositionChange,
    DestinationActive,
    DestinationBroken,
    DestinationComplete,
    DestinationLost,
    StageGone,
    StopAsked,
    TimePassed,
)
from stagebook.stage.composition.composition_machine import begin_composition, decide_composition
from tests.book.sample import (
    NOON_MS,
    append,
    append_composition,
    commit,
    composition,
    open_book,
    open_session,
    put,
    put_composition,
    put_stage,
)

DESTINATION = composition().destinations[0].destination_id
ERROR = CompositionErrorCode.INTERNAL_SERVER_EXCEPTION
FACTS: tuple[CompositionChange, ...] = (
    DestinationActive(destination_id=DESTINATION),
    DestinationLost(destination_id=DESTINATION),
    DestinationComplete(destination_id=DESTINATION),
    DestinationBroken(destination_id=DESTINATION, error_code=ERROR),
    ComposerLost(cause=CompositionCause.ENGINE_LOST),
    StopAsked(),
    StageGone(),
    TimePassed(),
)
WHOLE = (FACTS[0], FACTS[1], FACTS[0], FACTS[5], FACTS[2])
"""A composition that starts, reconnects and ends."""


def history(facts: tuple[CompositionChange, ...], *, step_ms: int = 1_000) -> list[Change]:
    """Return the changes that these facts make, as the manager submits them."""
    moment = Instant(wall_ms=NOON_MS, monotonic_ms=0)
    running = begin_composition(composition(), moment)
    changes: list[Change] = [put_stage(), put_composition(running.composition)]
    for number, fact in enumerate(facts, 1):
        moment = Instant(wall_ms=NOON_MS + number * step_ms, monotonic_ms=number * step_ms)
        decision = decide_composition(running, fact, moment)
        running = decision.running
        changes.append(put_composition(running.composition))
        changes += [append_composition(event, at_ms=moment.wall_ms) for event in decision.events]
    return changes


async def written(folder: Path, *changes: Change) -> Path:
    path = folder / "book.sqlite3"
    book = open_book(path)
    await commit(book, *changes)
    await book.close()
    return path


def violations(path: Path) -> list[Violation]:
    found: list[Violation] = []
    counts = check_book(path, found.append)
    assert counts.compositions == 1
    return found


@settings(max_examples=25, deadline=None)
@given(facts=st.lists(st.sampled_from(FACTS), max_size=8), step_ms=st.sampled_from([1, 20_000, 130_000]))
async def test_what_the_machine_makes_is_sound(facts: list[CompositionChange], step_ms: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = await written(Path(folder), *history(tuple(facts), step_ms=step_ms))
        assert violations(path) == []


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        (COMPOSITION, "DELETE FROM composition_event WHERE name = 0"),
        (COMPOSITION, "UPDATE composition_event SET error_code = 1 WHERE name = 1"),
        (COMPOSITION, "UPDATE composition_event SET destination_id = 'other' WHERE name = 4"),
        (COMPOSITION, "UPDATE composition_event SET name = 5 WHERE name = 4"),
        (COMPOSITION, "UPDATE composition_event SET sequence = 1 WHERE name = 1"),
        (COMPOSITION_ROW, "DELETE FROM composition_event WHERE name = 1"),
        (COMPOSITION_ROW, 'UPDATE composition SET value = replace(value, \'"state":"STOPPED"\', \'"state":"FAILED"\')'),
        (VALUES, "UPDATE composition_event SET name = 99 WHERE name = 1"),
        (VALUES, "UPDATE composition SET value = '['"),
        (VALUES, "UPDATE composition SET account_id = '1'"),
        (REFERENCES, "INSERT INTO composition_event VALUES (5, 99, 0, NULL, NULL, NULL)"),
        (SEQUENCE, "UPDATE event SET sequence = (SELECT max(sequence) FROM composition_event)"),
    ],
)
async def test_each_damage_is_found(tmp_path: Path, rule: BookRule, statement: str) -> None:
    path = await written(tmp_path, *history(WHOLE), open_session(), put("p"), append("p"))
    assert [each for each in violations(path) if each.rule.startswith("composition")] == []
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    assert connection.changes()
    connection.close()
    assert rule.name in {each.rule for each in violations(path)}


async def test_events_that_retention_deletes_are_not_reported(tmp_path: Path) -> None:
    path = await written(tmp_path, *history(WHOLE))
    connection = apsw.Connection(str(path))
    connection.execute(
        "INSERT INTO expired_composition SELECT composition_key FROM composition; DELETE FROM composition"
    )
    connection.close()
    found: list[Violation] = []
    check_book(path, found.append)
    assert found == []
