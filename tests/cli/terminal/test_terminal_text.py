"""Texts of strangers in a terminal."""

import pytest

from stagebook.cli.terminal.terminal_text import plain, printable


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


def test_markup_is_no_style() -> None:
    assert plain("[red]x[/red]").plain == "[red]x[/red]"
