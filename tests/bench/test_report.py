"""Tables, aims, and the page they are put into."""

import pytest

from bench.report import BEGIN_MARK, END_MARK, Aim, Part, Table, aims_table, document, number, replace_measured, verdict


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
    ("aim", "met"),
    [
        (Aim(what="ratio", measured=3.3, at_most=3.3), True),
        (Aim(what="ratio", measured=3.31, at_most=3.3), False),
        (Aim(what="rate", measured=400, at_least=400), True),
        (Aim(what="rate", measured=399, at_least=400), False),
    ],
)
def test_an_aim_is_met_up_to_its_bound(aim: Aim, met: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    assert aim.met is met


def test_an_aim_that_is_not_met_says_so_loudly() -> None:
    table = aims_table([Aim(what="storm", measured=29_999, at_least=30_000, unit="events/s")])
    assert table.rows == (("storm", "at least 30,000 events/s", "29,999 events/s", "NO"),)


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1.0, "at_least": 1.0}])
def test_an_aim_has_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="one bound"):
        Aim(what="ratio", measured=1, **bounds)  # type: ignore[arg-type]  # the bounds are what is wrong here


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12_345.6, "12,346")],
)
def test_a_number_has_about_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_document_says_the_machine_then_the_aims_then_the_parts() -> None:
    part = Part(
        title="Appends",
        method="How.",
        tables=(Table(headings=("what",), rows=(("row",),)),),
        aims=(Aim(what="storm", measured=1, at_least=1),),
    )
    lines = [line for line in document("Machine: one.", [part]).splitlines() if line]
    assert lines[0] == "Machine: one."
    assert lines[1].startswith("| aim")
    assert lines[4:7] == ["All aims were met in this run.", "## Appends", "How."]


def test_the_verdict_names_what_was_missed() -> None:
    aims = [
        Aim(what="ratio", measured=4, at_most=3.3),
        Aim(what="viewers", measured=500, at_least=400),
        Aim(what="storm", measured=1, at_least=2),
    ]
    assert verdict(aims) == "Not met in this run: ratio; storm."


def test_only_what_is_between_the_marks_is_replaced() -> None:
    page = f"before\n\n{BEGIN_MARK}\n\nold\n\n{END_MARK}\n\nafter\n"
    replaced = replace_measured(page, "new\n")
    assert replaced == f"before\n\n{BEGIN_MARK}\n\nnew\n\n{END_MARK}\n\nafter\n"
    assert replace_measured(replaced, "new\n") == replaced


@pytest.mark.parametrize("page", ["", BEGIN_MARK, END_MARK, f"{END_MARK} {BEGIN_MARK}"])
def test_a_page_without_both_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        replace_measured(page, "new")
