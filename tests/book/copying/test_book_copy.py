"""The comparison of two books finds each kind of difference and names the row."""

from stagebook.book.copying.book_copy import RowDifference, differences
from stagebook.book.copying.copied_tables import COPIED_TABLES
from stagebook.book.tables.rows import Row

REVOCATION = next(table for table in COPIED_TABLES if table.name == "revocation")


def found(source: list[Row], target: list[Row]) -> list[tuple[object, ...]]:
    all_found = differences(REVOCATION, iter(source), iter(target))
    return [(each.kind, each.key, each.columns) for each in all_found]


def test_the_same_rows_have_no_difference() -> None:
    rows: list[Row] = [(1, "a", 5, "why"), (1, "b", 6, "why")]
    assert found(rows, list(rows)) == []
    assert found([], []) == []


def test_missing_and_added_rows_are_named_by_their_keys() -> None:
    rows: list[Row] = [(1, "a", 5, ""), (1, "b", 6, ""), (2, "a", 7, ""), (3, "z", 8, "")]
    assert found(rows, [rows[1], rows[2]]) == [("missing", (1, "a"), ()), ("missing", (3, "z"), ())]
    assert found([rows[1], rows[2]], rows) == [("added", (1, "a"), ()), ("added", (3, "z"), ())]
    assert found([rows[0], rows[2]], [rows[1], rows[3]]) == [
        ("missing", (1, "a"), ()),
        ("added", (1, "b"), ()),
        ("missing", (2, "a"), ()),
        ("added", (3, "z"), ()),
    ]


def test_a_changed_value_is_named_by_its_column_and_the_rest_is_compared_on() -> None:
    source: list[Row] = [(1, "a", 5, "why"), (1, "b", 6, "why"), (1, "c", 7, "why")]
    target: list[Row] = [(1, "a", 9, "not"), (1, "b", 6, "why"), (1, "c", 7, None)]
    assert found(source, target) == [
        ("different", (1, "a"), ("revoked_ms", "reason")),
        ("different", (1, "c"), ("reason",)),
    ]


def test_rows_are_compared_as_a_stream() -> None:
    taken = 0

    def rows() -> object:
        nonlocal taken
        for number in range(1_000):
            taken += 1
            yield (1, f"{number:04}", 0, "")

    target: list[Row] = []
    first = next(differences(REVOCATION, rows(), iter(target)))  # type: ignore[arg-type]
    assert first == RowDifference(table="revocation", key=(1, "0000"), kind="missing")
    assert taken == 1
