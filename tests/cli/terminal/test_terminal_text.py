"""Texts of strangers in a terminal."""

import pytest

from stagebook.cli.terminal.terminal_text import plain, print_columns, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann 日本 é", "ann 日本 é"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
    ],
)
def test_what_is_not_printable_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_columns_have_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("A", "ERROR"), ("long", "\x1b[2J\n" + "x" * 300)])
    assert capsys.readouterr().out == f"A     ERROR\nlong  \\x1b[2J\\n{'x' * 300}\n"


def test_markup_is_no_style() -> None:
    assert plain("[red]x[/red]").plain == "[red]x[/red]"
