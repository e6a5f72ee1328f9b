"""Requires that a book breaks no rule: for tests that make books."""

from pathlib import Path

from stagebook.audit.book_check import check_book
from stagebook.audit.book_rules import Violation, describe


def violations(path: Path) -> list[Violation]:
    """Return each broken rule of the book at `path`."""
    found: list[Violation] = []
    check_book(path, found.append)
    return found


def require_sound(path: Path) -> None:
    """Raise AssertionError if the book at `path` breaks a rule."""
    found = violations(path)
    assert not found, "; ".join(describe(each) for each in found[:5])
