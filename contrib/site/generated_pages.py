"""All generated pages of the site, and their places in the navigation."""

from collections.abc import Iterator
from typing import Any

from contrib.site import error_code_pages, event_pages, operation_pages
from contrib.site.page_text import page_of
from contrib.site.reference_notes import error_code_notes, event_notes
from contrib.site.repository_pages import OUTSIDE_PAGES

Navigation = list[Any]
"""The navigation of MkDocs: paths, and mappings from a title to a path or to a further navigation."""


def generated_pages() -> Iterator[tuple[str, str]]:
    """Yield the path on the site and the Markdown of each page."""
    yield from operation_pages.pages()
    yield from event_pages.pages()
    yield from error_code_pages.pages()


def with_generated(navigation: Navigation) -> Navigation:
    """Return the navigation with each `generated: NAME` replaced by the pages of that name.

    `repository: FOLDER` is replaced by the README files in that folder of the repository.
    """
    return [_replaced(item) for item in navigation]


def _replaced(item: Any) -> Any:  # noqa: ANN401 - a part of the navigation
    if not isinstance(item, dict):
        return item
    ((title, content),) = item.items()
    if isinstance(content, list):
        return {title: with_generated(content)}
    match content:
        case "generated: operations":
            groups = operation_pages.groups().items()
            return {title: [operation_pages.INDEX, *({group: _pages("operation", names)} for group, names in groups)]}
        case "generated: events":
            return {title: [event_pages.INDEX, *_pages("event", list(event_notes()))]}
        case "generated: error codes":
            return {title: [error_code_pages.INDEX, *_pages("error code", list(error_code_notes()))]}
        case str() if content.startswith("repository: "):
            folder = content.removeprefix("repository: ")
            return {title: [page for page in OUTSIDE_PAGES.values() if page.startswith(f"{folder}/")]}
    return item


def _pages(kind: str, names: list[str]) -> Navigation:
    return [page_of(kind, name) for name in names]
