"""Parquet files of events: the schema, the values and the row groups."""

import io
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet
import pytest

from stagebook.history.composition_document import entry_document
from stagebook.history.export import parquet_file
from stagebook.history.export.parquet_file import ParquetFile
from tests.history.export.test_event_lines import EVENTS
from tests.history.logged import TIME_MS


def written(count: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    sink = io.BytesIO()
    with ParquetFile(sink) as file:
        for first in range(0, count, len(EVENTS)):
            file.write(EVENTS[: count - first])
    return pyarrow.parquet.ParquetFile(io.BytesIO(sink.getvalue()))


def test_the_columns_have_real_types() -> None:
    schema = written(3).schema_arrow
    assert schema.field("eventTime").type == pyarrow.timestamp("ms", tz="UTC")
    assert schema.field("sequence").type == pyarrow.int64()
    assert schema.field("replica").type == pyarrow.bool_()
    for name in ("name", "errorCode", "stageArn", "sessionId", "participantId", "userId", "cause"):
        assert schema.field(name).type == pyarrow.dictionary(pyarrow.int32(), pyarrow.string())


def test_the_values_are_those_of_the_document() -> None:
    rows = written(len(EVENTS)).read().to_pylist()
    assert rows[0]["eventTime"] == datetime.fromtimestamp(TIME_MS / 1_000, UTC)
    for row, event in zip(rows, EVENTS, strict=True):
        document = entry_document(event)
        assert row["sequence"] == event.sequence
        for field in msgspec.structs.fields(type(document)):
            value = getattr(document, field.name)
            if field.name in {"previous_token", "new_token"} and value is not None:
                value = msgspec.json.encode(value).decode()
            if field.name not in {"event_time", "sequence"}:
                assert row[field.encode_name] == value


@pytest.mark.parametrize(("count", "groups"), [(0, []), (4, [4]), (5, [5]), (12, [5, 5, 2])])
def test_rows_are_written_in_groups(monkeypatch: pytest.MonkeyPatch, count: int, groups: list[int]) -> None:
    monkeypatch.setattr(parquet_file, "ROWS_PER_GROUP", 5)
    metadata = written(count).metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == groups
