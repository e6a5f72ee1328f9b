"""The text forms of events: JSON Lines and CSV."""

import csv
import io
import json

import pytest

from stagebook.book.composition_log import LogEntry
from stagebook.history.export.event_lines import CSV_COLUMNS, csv_heading, csv_lines, csv_rows, json_lines
from stagebook.stage.events import ErrorCode, EventName
from tests.book.golden_values import EXCHANGE, REPLICATION
from tests.history.logged import logged, of_composition

ERROR = logged(EventName.PUBLISH_ERROR, error_code=ErrorCode.INVALID_INPUT, detail='9, "much"\nmore')
EVENTS: list[LogEntry] = [
    ERROR,
    of_composition(),
    *(logged(**{name: getattr(event, name) for name in event.__struct_fields__}) for event in (EXCHANGE, REPLICATION)),
]


def parsed() -> list[dict[str, str]]:
    text = (csv_heading() + csv_lines(EVENTS)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_the_members_of_json_lines() -> None:
    documents = [json.loads(line) for line in json_lines(EVENTS).splitlines()]
    rows = parsed()
    assert len(documents) == len(rows) == len(EVENTS)
    for document, row in zip(documents, rows, strict=True):
        assert tuple(row) == CSV_COLUMNS
        shown = {name: value for name, value in row.items() if value}
        texts = {
            name: _text(value)
            for name, value in (({"replica": False} if "participantId" in document else {}) | document).items()
        }
        assert shown == texts


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def test_a_detail_of_several_lines_is_one_cell() -> None:
    assert parsed()[0]["detail"] == '9, "much"\nmore'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_text_is_a_formula(start: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_rows([[f"{start}HYPERLINK(1)"]]).decode(), newline=""))
    assert row == [f"'{start}HYPERLINK(1)"]


def test_numbers_and_missing_values_stay_as_they_are() -> None:
    assert csv_rows([[-1.5, None, "a=1", 0]]) == b"-1.5,,a=1,0\r\n"
