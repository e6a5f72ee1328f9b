"""Reads of compositions for the watch API, also of those that ended long ago. They run in a history process."""

import msgspec

from stagebook.book.composition_reader import CompositionFilter
from stagebook.history.composition_document import (
    CompositionDocument,
    CompositionEventDocument,
    composition_document,
    composition_event_document,
)
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.composition.composition import Composition


class CompositionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of compositions, and the position of the next one."""

    compositions: tuple[CompositionDocument, ...]
    next_position: int | None


class CompositionEventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the events of a composition, and the position of the next one."""

    events: tuple[CompositionEventDocument, ...]
    next_position: int | None


def read_compositions(
    files: HistoryFiles, where: CompositionFilter, *, after: int | None, limit: int
) -> CompositionsPage:
    """Return a page of the compositions that match, newest first."""
    page = files.book.compositions.page(where, after=after, limit=limit)
    return CompositionsPage(
        compositions=tuple(composition_document(each) for each in page.items), next_position=page.next_position
    )


def read_composition(files: HistoryFiles, arn: str) -> Composition | None:
    """Return a composition, None if there is none."""
    return files.book.compositions.find(arn)


def read_composition_events(files: HistoryFiles, arn: str, *, after: int | None, limit: int) -> CompositionEventsPage:
    """Return a page of the events of a composition, oldest first."""
    page = files.book.compositions.page_events(arn, after=after, limit=limit)
    return CompositionEventsPage(
        events=tuple(composition_event_document(each) for each in page.items), next_position=page.next_position
    )
