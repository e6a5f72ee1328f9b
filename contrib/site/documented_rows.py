"""Rows of tables in docs/, by their first cell: the reference pages repeat them, so that each rule is written once."""

from collections.abc import Mapping

from contrib.site.repository_pages import ROOT


def rows(page: str) -> Mapping[str, tuple[str, ...]]:
    """Return the other cells of all table rows of a page, by the first cell. The last of several equal ones counts."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            first, *cells = (cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|"))
            found[first] = tuple(cells)
    return found
