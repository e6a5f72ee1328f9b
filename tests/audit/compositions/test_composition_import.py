"""Compositions and their events survive export and import, whichever of both a source has."""

import itertools
import re
from pathlib import Path

import msgspec
import pytest

from stagebook.audit.book_check import check_book
from stagebook.audit.book_rules import Violation
from stagebook.book.changes import Change
from stagebook.book.composition_reader import CompositionFilter
from stagebook.history.composition_document import composition_document
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.composition.composition import Composition
from tests.audit.compositions.test_composition_audit import FACTS, WHOLE, history
from tests.audit.importing import export, import_files, refusal
from tests.book.sample import (
    ACCOUNT,
    append_composition,
    commit,
    composition,
    open_book,
    put_composition,
    put_stage,
)

HISTORIES = {
    "whole": WHOLE,
    "running": WHOLE[:3],
    "stopping": WHOLE[:4],
    "starting": (),
    "failed": (FACTS[0], FACTS[3]),
    "lost": (FACTS[0], FACTS[4]),
    "never started": (FACTS[5], FACTS[2]),
}


async def write(path: Path, *changes: list[Change]) -> None:
    """Write a book with compositions."""
    book = open_book(path)
    for change in itertools.chain(*changes):
        await commit(book, change)
    await book.close()


def compositions(path: Path) -> list[Composition]:
    with HistoryFiles(path) as files:
        return files.book.compositions.page(CompositionFilter(), after=None, limit=100).items


def listed(path: Path) -> bytes:
    """Return what `stagebook compositions list --output json` prints."""
    return msgspec.json.Encoder().encode_lines([composition_document(each) for each in compositions(path)])


def violations(path: Path) -> list[Violation]:
    found: list[Violation] = []
    check_book(path, found.append)
    return found


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_composition_survives_export_and_import(tmp_path: Path, name: str) -> None:
    original, copy = tmp_path / "book.sqlite3", tmp_path / "copy.sqlite3"
    await write(original, history(HISTORIES[name]))
    exported, list_of_all = export(original), listed(original)
    assert b"COMPOSITION_" in exported or name == "starting"
    summary = import_files(copy, exported, list_of_all)
    assert summary.compositions == 1
    assert export(copy) == exported
    assert listed(copy) == list_of_all
    assert violations(copy) == []
    assert import_files(copy, list_of_all, exported).events == 0
    assert listed(copy) == list_of_all


@pytest.mark.parametrize("name", [name for name in HISTORIES if name != "starting"])
async def test_without_a_list_a_composition_is_what_its_events_say(tmp_path: Path, name: str) -> None:
    original, copy = tmp_path / "book.sqlite3", tmp_path / "copy.sqlite3"
    await write(original, history(HISTORIES[name]))
    exported = export(original)
    import_files(copy, exported)
    assert export(copy) == exported
    assert violations(copy) == []
    (expected,), (found,) = compositions(original), compositions(copy)
    assert [each.destination_id for each in found.destinations] == [
        each.destination_id for each in expected.destinations
    ]
    assert found.end_ms == expected.end_ms


async def test_an_import_in_parts_continues_a_composition(tmp_path: Path) -> None:
    original, copy = tmp_path / "book.sqlite3", tmp_path / "copy.sqlite3"
    await write(original, history(WHOLE))
    lines = export(original).splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        import_files(copy, b"".join(lines[:end]))
        assert violations(copy) == []
    assert export(copy) == b"".join(lines)


async def test_compositions_keep_the_order_of_their_starts(tmp_path: Path) -> None:
    original, copy = tmp_path / "book.sqlite3", tmp_path / "copy.sqlite3"
    arns = [f"arn:aws:ivs:us-west-2:{ACCOUNT}:composition/{name}" for name in ("bbbb", "aaaa", "cccc")]
    book = open_book(original)
    await commit(book, put_stage())
    for arn in arns:
        await commit(book, put_composition(composition(arn)))
    for arn in arns[::-1]:
        await commit(book, append_composition(arn=arn))
    await book.close()
    list_of_all = listed(original)
    import_files(copy, export(original), list_of_all)
    assert [each.arn for each in compositions(copy)] == arns[::-1]


def edited(line: bytes, pattern: str, text: str) -> bytes:
    changed, count = re.subn(pattern, text, line.decode())
    assert count == 1
    return changed.encode()


@pytest.mark.parametrize(
    ("number", "pattern", "text", "rule"),
    [
        (0, '"COMPOSITION_STARTED"', '"COMPOSED"', "form"),
        (0, '"name"', '"x":1,"name"', "form"),
        (0, ":composition/", ":stage/", "ids"),
        (0, '"id":"0', '"id":"1', "event-id"),
        (0, '"eventTime":"2', '"eventTime":"1', "event-time"),
        (1, '"destinationId":"[^"]*"', '"destinationId":"-"', "ids"),
        (1, '"destinationId":"[^"]*",?', "", "composition"),
        (0, '"COMPOSITION_STARTED"', '"COMPOSITION_FAILED"', "composition"),
    ],
)
async def test_a_line_that_breaks_a_rule_is_refused(
    tmp_path: Path, number: int, pattern: str, text: str, rule: str
) -> None:
    original = tmp_path / "book.sqlite3"
    await write(original, history(WHOLE))
    lines = export(original).splitlines(keepends=True)
    assert b"COMPOSITION_STARTED" in lines[0]
    lines[number] = edited(lines[number], pattern, text).replace(b",}", b"}")
    assert refusal(tmp_path / "copy.sqlite3", b"".join(lines)) == f"{rule} at file-1:{number + 1}"


@pytest.mark.parametrize(
    ("pattern", "text", "rule"),
    [
        ('"state":"STOPPED","startTime"', '"state":"OVER","startTime"', "form"),
        ('"layout":{.*},"destinations"', '"layout":{"grid":1},"destinations"', "form"),
        ('"storageConfigurationArn":"[^"]*"', '"storageConfigurationArn":1', "form"),
        ('"destinations":.*]', '"destinations":[]', "composition"),
        ("composition/", "composition-", "ids"),
    ],
)
async def test_a_list_that_breaks_a_rule_is_refused(tmp_path: Path, pattern: str, text: str, rule: str) -> None:
    original = tmp_path / "book.sqlite3"
    await write(original, history(WHOLE))
    broken = edited(listed(original), pattern, text)
    assert refusal(tmp_path / "copy.sqlite3", broken) == f"{rule} at file-1:1"
