"""Rows as this version writes them, kept as literals.

A row has no version of its own: the version of the book covers the tables, and members of a JSON column are added
without a migration. So each later version must read the rows of this one, and must go on writing rows that this version
reads. A change that breaks a test here breaks books that exist. To add a member with a default, add a new literal
beside the old one; the old one stays. Anything else needs a migration.
"""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from stagebook.book.book_values import EventExtra
from stagebook.book.sqlite.schema import seal_document
from stagebook.book.tables.rows import (
    ParticipantRest,
    event_row,
    participant_record,
    participant_row,
    recorded_event,
    resource_row,
    resource_value,
    stage_row,
    stage_value,
)
from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, Resource
from tests.book.golden_values import EXCHANGE, PARTICIPANT, RECORDING, REPLICATION, RESOURCES, STAGE
from tests.book.sample import SEAL


def _rows(version: int) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = json.loads(
        (Path(__file__).parent / f"rows_version_{version}.json").read_text(encoding="utf-8")
    )
    return rows


GOLDEN = _rows(2) | _rows(3) | _rows(8)
"""Rows by name, without their keys. Those of version 3 replace those of version 2, which its migration rewrites."""
NO_RECORDING = (None, None, None)
"""The columns of a participant that version 8 has added."""


def test_participants_are_stored_as_this_version_stores_them() -> None:
    defaults = ParticipantRecord(participant_id="q")

    assert list(participant_row(3, 7, PARTICIPANT)[2:]) == GOLDEN["participant"]
    assert list(participant_row(3, 8, defaults)[2:]) == GOLDEN["participant with defaults"]
    assert participant_record((*GOLDEN["participant"], *NO_RECORDING)) == PARTICIPANT
    assert participant_record((*GOLDEN["participant with defaults"], *NO_RECORDING)) == defaults


@pytest.mark.parametrize(
    ("name", "event"),
    [("replication event", REPLICATION), ("exchange event", EXCHANGE), ("recording event", RECORDING)],
)
def test_events_are_stored_as_this_version_stores_them(name: str, event: Event) -> None:
    assert list(event_row(3, 7, GOLDEN[name][0], event)[2:]) == GOLDEN[name]
    stored = recorded_event("p", tuple(GOLDEN[name]))
    assert (stored.sequence, stored.event) == (GOLDEN[name][0], event)


def test_stages_are_stored_as_this_version_stores_them() -> None:
    assert list(stage_row(1, STAGE)[1:]) == GOLDEN["stage"]
    assert stage_value((*GOLDEN["stage"], None)) == STAGE


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: type(resource).__name__)
def test_resources_are_stored_as_this_version_stores_them(resource: Resource) -> None:
    row = GOLDEN[str(resource.__struct_config__.tag)]

    assert list(resource_row(SEAL.sealed(resource))) == row
    assert SEAL.opened(resource_value((row[-1],))) == resource


def test_version_3_stores_what_its_migration_makes_of_version_2() -> None:
    assert seal_document(_rows(2)["ingest-configuration"][-1], SEAL) == _rows(3)["ingest-configuration"][-1]


def _members(document: str) -> set[str]:
    members: dict[str, Any] = json.loads(document)
    return set(members) - {"type"}


def test_the_golden_rows_have_every_member_of_the_json_columns() -> None:
    assert _members(GOLDEN["participant"][-1]) == set(ParticipantRest.__struct_fields__)
    events = ("replication event", "exchange event", "recording event")
    in_events = {member for name in events for member in _members(GOLDEN[name][-1])}
    assert in_events == set(EventExtra.__struct_fields__)
    for resource in RESOURCES:
        row = GOLDEN[str(resource.__struct_config__.tag)]
        assert _members(row[-1]) == set(resource.__struct_fields__)


def test_every_kind_of_resource_has_a_golden_row() -> None:
    assert {type(resource) for resource in RESOURCES} == set(get_args(Resource))


def test_members_of_a_later_version_are_ignored() -> None:
    """After a downgrade, rows can have members that this version does not know."""
    participant = [*GOLDEN["participant"][:-1], _with_unknown_member(GOLDEN["participant"][-1])]
    assert participant_record((*participant, *NO_RECORDING)) == PARTICIPANT
    for resource in RESOURCES:
        row = GOLDEN[str(resource.__struct_config__.tag)]
        assert SEAL.opened(resource_value((_with_unknown_member(row[-1]),))) == resource


def _with_unknown_member(document: str) -> str:
    members: dict[str, Any] = json.loads(document)
    return json.dumps({**members, "colour": "blue"})
