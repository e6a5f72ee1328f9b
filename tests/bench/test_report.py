"""Tables, targets, and the replacement of the results on a page."""

import pytest

from bench.report import (
    BEGIN_MARK,
    END_MARK,
    Part,
    Table,
    Target,
    document,
    number,
    replace_measured,
    targets_table,
    verdict,
)


def test_a_table_is_aligned_markdown() -> None:
    table = Table(headings=("what", "ms"), rows=(("a", "1"), ("longer", "12.5")))
    assert table.markdown() == "\n".join(
        [
            "| what   |   ms |",
            "| :----- | ---: |",
            "| a      |    1 |",
            "| longer | 12.5 |",
        ]
    )


def test_a_table_refuses_a_row_of_another_width() -> None:
    with pytest.raises(ValueError, match="one cell for each heading"):
        Table(headings=("what", "ms"), rows=(("a",),))


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(what="ratio", measured=3.3, at_most=3.3), True),
        (Target(what="ratio", measured=3.31, at_most=3.3), False),
        (Target(what="rate", measured=400, at_least=400), True),
        (Target(what="rate", measured=399, at_least=400), False),
    ],
)
def test_a_target_is_met_up_to_its_bound(target: Target, met: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    assert target.met is met


def test_a_target_that_is_not_met_is_shown_as_no() -> None:
    table = targets_table([Target(what="burst", measured=29_999, at_least=30_000, unit="events/s")])
    assert table.rows == (("burst", "at least 30,000 events/s", "29,999 events/s", "NO"),)


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1.0, "at_least": 1.0}])
def test_a_target_has_exactly_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one bound"):
        Target(what="ratio", measured=1, **bounds)  # type: ignore[arg-type]  # the bounds are invalid


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12_345.6, "12,346")],
)
def test_a_number_has_three_significant_digits(value: float | None, expected: str) -> None:
    assert number(value) == expected


def test_a_document_has_the_machine_then_the_targets_then_the_parts() -> None:
    part = Part(
        title="Appends",
        method="How.",
        tables=(Table(headings=("what",), rows=(("row",),)),),
        targets=(Target(what="burst", measured=1, at_least=1),),
    )
    lines = [line for line in document("Machine: one.", [part]).splitlines() if line]
    assert lines[0] == "Machine: one."
    assert lines[1].startswith("| target")
    assert lines[4:7] == ["All targets were met in this run.", "## Appends", "How."]


def test_the_verdict_names_the_targets_that_were_not_met() -> None:
    targets = [
        Target(what="ratio", measured=4, at_most=3.3),
        Target(what="viewers", measured=500, at_least=400),
        Target(what="burst", measured=1, at_least=2),
    ]
    assert verdict(targets) == "Not met in this run: ratio; burst."


def test_only_the_text_between_the_marks_is_replaced() -> None:
    page = f"before\n\n{BEGIN_MARK}\n\nold\n\n{END_MARK}\n\nafter\n"
    replaced = replace_measured(page, "new\n")
    assert replaced == f"before\n\n{BEGIN_MARK}\n\nnew\n\n{END_MARK}\n\nafter\n"
    assert replace_measured(replaced, "new\n") == replaced


@pytest.mark.parametrize("page", ["", BEGIN_MARK, END_MARK, f"{END_MARK} {BEGIN_MARK}"])
def test_a_page_without_both_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        replace_measured(page, "new")
