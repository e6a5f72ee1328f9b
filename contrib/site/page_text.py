"""Pieces of Markdown that the generated pages share."""

import re
from collections.abc import Iterable, Iterator, Mapping

from botocore import xform_name

from contrib.site.documented_rows import rows
from contrib.site.repository_pages import OUTSIDE_PAGES

FOLDERS: Mapping[str, str] = {"operation": "operations", "event": "events", "error code": "error-codes"}
"""By kind of subject: the folder of its pages on the site."""


_LINK_BELOW_DOCS = re.compile(r"\]\((?=[\w/-]+\.md)([^)]*)")


def page_of(kind: str, name: str) -> str:
    """Return the path on the site of the page of an operation, an event or an error code."""
    slug = xform_name(name, "-") if kind == "operation" else name.lower().replace("_", "-")
    return f"{FOLDERS[kind]}/{slug}.md"


def link(kind: str, name: str) -> str:
    """Return a link to the page of an operation, event or error code, from any other of them."""
    return f"[{name}](../{page_of(kind, name)})"


def from_docs(cell: str) -> str:
    """Return a table cell of a page in docs/ for a page in a folder below it: with the links one level up."""
    cell = _LINK_BELOW_DOCS.sub(r"](../\1", cell)
    for path, page in OUTSIDE_PAGES.items():
        cell = cell.replace(f"](../{path}", f"](../{page}")
    return cell


def table(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table. A pipe in a cell is escaped, except inside code, where Markdown would show the escape."""
    head = list(headings)
    body = [["`".join(_escaped(cell)) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *body])


def _escaped(cell: str) -> Iterator[str]:
    """Yield the parts of a cell between backquotes, of which every second one is code."""
    for number, part in enumerate(cell.split("`")):
        yield part if number % 2 else part.replace("|", "\\|")


def tab(title: str, language: str, code: str) -> str:
    """Return one tab of a group, with a block of code."""
    block = "\n".join([f"```{language}", code, "```"])
    indented = "\n".join(f"    {line}" if line else "" for line in block.splitlines())
    return f'=== "{title}"\n\n{indented}'


def section(title: str, *parts: str) -> str:
    """Return a section with its heading, or nothing if all parts are empty."""
    filled = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *filled]) if filled else ""


def document(*parts: str) -> str:
    """Return a page of its sections; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def bullets(lines: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"* {line}" for line in lines)


def state_of(name: str) -> tuple[str, str]:
    """Return the state of an operation, event or error code on the compatibility page, and the rest of its row."""
    state, note = rows("compatibility.md")[f"`{name}`"]
    return state, from_docs(note)
