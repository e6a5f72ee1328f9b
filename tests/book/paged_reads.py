"""Every read of `BookPages`, for calls of it and of `BookReader`; and a book in which all of them find something."""

from collections.abc import Callable
from typing import Any

from stagebook.book.book_pages import BookPages, CompositionPages
from stagebook.book.book_values import ParticipantFilter
from stagebook.book.changes import Change
from stagebook.book.composition_reader import CompositionFilter
from stagebook.book.store import Book
from stagebook.stage.arns import PUBLIC_KEY
from stagebook.stage.events import EventName
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    KEY_ARN,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    append_composition,
    commit,
    open_session,
    put,
    put_composition,
    put_replica,
    put_resource,
    put_stage,
)

# `Any` is a BookPages or a BookReader: their reads differ in the await alone.
READS: dict[str, Callable[[Any], Any]] = {
    "get_stage": lambda book: book.get_stage(ARN),
    "list_stages": lambda book: book.list_stages(ACCOUNT, after=None, limit=1),
    "get_session": lambda book: book.get_session(ARN, SESSION),
    "list_sessions": lambda book: book.list_sessions(ARN, after=None, limit=1),
    "get_participant": lambda book: book.get_participant(ARN, SESSION, "p"),
    "list_participants": lambda book: book.list_participants(
        ARN, SESSION, where=ParticipantFilter(), after=None, limit=1
    ),
    "page_events": lambda book: book.page_events(ARN, SESSION, "p", after=None, limit=1, oldest_first=True),
    "get_resource": lambda book: book.get_resource(KEY_ARN),
    "list_resources": lambda book: book.list_resources(ACCOUNT, PUBLIC_KEY, after=None, limit=1),
    "list_replicas": lambda book: book.list_replicas(ARN, "p", after=None, limit=1),
    "compositions.find": lambda book: book.compositions.find(COMPOSITION_ARN),
    "compositions.page": lambda book: book.compositions.page(
        CompositionFilter(account_id=ACCOUNT), after=None, limit=1
    ),
    "compositions.page_events": lambda book: book.compositions.page_events(COMPOSITION_ARN, after=None, limit=1),
}


def all_reads() -> set[str]:
    """Return the names of all reads of the port."""
    named = {name for name in vars(BookPages) if not name.startswith("_")} - {"compositions"}
    return named | {f"compositions.{name}" for name in vars(CompositionPages) if not name.startswith("_")}


TRANSACTIONS: tuple[tuple[Change, ...], ...] = (
    (put_stage(), open_session(), put("p"), put("q"), append("p")),
    (append("p", EventName.PUBLISH_STARTED), put_resource(), put_composition()),
    (put_stage(OTHER_ARN), open_session(OTHER_SESSION, arn=OTHER_ARN), put_replica()),
    (append_composition(), append_composition()),
)
"""Something for each of READS, and more than the first page of some."""


async def fill(book: Book) -> None:
    """Write TRANSACTIONS."""
    for changes in TRANSACTIONS:
        await commit(book, *changes)
