"""The search index of a book: it follows the book in batches, each of which is one transaction.

Any history process may continue the index; SQLite lets one write at a time. A transaction reads the book and writes the
index, so the position of the index and its entries always agree.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import apsw
import msgspec

from stagebook.book.changes import sequence_time_ms
from stagebook.book.tables.rows import EVENT_NAME_CODE, EVENT_NAMES
from stagebook.history.search import index_schema
from stagebook.history.search.index_file import UNUSABLE, empty, open_index
from stagebook.stage.errors import ServerBusyError
from stagebook.stage.events import EventName

BATCH_SIZE_EVENTS = 20_000
"""The most events of one transaction: about 200 ms. Larger batches write fewer pages for each event."""

SPANS_PER_TRIM = 1_000
ENTRIES_PER_TRIM = 5_000
"""Bounds of one call of `trim`."""

_NAME_CODES = msgspec.json.encode(list(range(len(EVENT_NAMES)))).decode()
_USER_CHANGES = {
    "joined": EVENT_NAME_CODE[EventName.JOINED],
    "exchanged": EVENT_NAME_CODE[EventName.TOKEN_EXCHANGED],
}


class IndexProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the index is: up to the event `last_sequence`. `is_complete`: that is all the book had at the call.

    `share` is the part of the time span of the book that is indexed, from 0 to 1.
    """

    last_sequence: int
    is_complete: bool
    share: float


class SearchIndex:
    """An open search index. Only one thread may use it.

    Every method raises ServerBusyError if another process holds the index too long, and if the file turns out to be
    damaged, which empties and closes it.
    """

    @classmethod
    def open(cls, path: Path, *, book_path: Path, must_stop: Callable[[], bool] = lambda: False) -> Self:
        """Open or create the index at `path` of the book at `book_path`; see `open_index`."""
        with _as_busy():
            return cls(open_index(path, book_path=book_path, must_stop=must_stop))

    def __init__(self, connection: apsw.Connection) -> None:
        """Use a connection that `open_index` has made."""
        self._connection = connection
        self.is_closed = False

    def close(self) -> None:
        """Close the file. Idempotent."""
        self.is_closed = True
        self._connection.close()

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - cells of rows
        """Return all rows of a statement."""
        with self._guarded():
            return self._connection.execute(statement, parameters).fetchall()

    def accounts(self) -> list[str]:
        """Return the ids of all accounts that have events in the index."""
        return [row[0] for row in self.rows(index_schema.ACCOUNTS)]

    def catch_up(self, *, maximum_batches: int) -> IndexProgress:
        """Index the events that the book has at the call, at most `maximum_batches` batches of them."""
        with self._guarded():
            # Not read again: events may arrive faster than this loop runs.
            wanted = self._number(index_schema.LAST_SEQUENCE_OF_BOOK)
            for _ in range(maximum_batches):
                if self._number(index_schema.LAST_SEQUENCE) >= wanted:
                    break
                self._add_batch()
            return self._progress(wanted)

    def trim(self) -> bool:
        """Delete entries of events that are no longer in the book; return whether there may be more.

        Each call continues where the last one ended, and after the last session or composition with the first.
        """
        with self._guarded():
            with self._transaction():
                more = self._trim_sessions() or self._trim_compositions()
            if more:
                self._connection.execute(index_schema.GIVE_BACK_SPACE).fetchall()
            return more

    def _progress(self, wanted: int) -> IndexProgress:
        indexed = self._number(index_schema.LAST_SEQUENCE)
        first_ms = sequence_time_ms(self._number(index_schema.FIRST_SEQUENCE_OF_BOOK))
        done_ms, all_ms = sequence_time_ms(indexed) - first_ms, sequence_time_ms(wanted) - first_ms
        share = min(max(done_ms / all_ms, 0.0), 1.0) if all_ms > 0 else 1.0
        return IndexProgress(last_sequence=indexed, is_complete=indexed >= wanted, share=share)

    def _add_batch(self) -> None:
        """Index the next events in one transaction."""
        with self._transaction():
            after, last = self._number(index_schema.LAST_SEQUENCE), self._number(index_schema.LAST_SEQUENCE_OF_BOOK)
            until = self._number(index_schema.BATCH_END, after=after, size=BATCH_SIZE_EVENTS) or last
            self._execute(index_schema.READ_BATCH, after=after, until=until)
            self._execute(index_schema.ADD_KEYS)
            self._execute(
                index_schema.READ_COMPOSITIONS, after=after, until=until, shift=index_schema.COMPOSITION_CODES
            )
            self._execute(index_schema.ADD_COMPOSITIONS)
            for participant, session, user in self._execute(index_schema.CHANGED_USERS, **_USER_CHANGES):
                self._execute(index_schema.CHANGE_USER, participant=participant, session=session, user=user)
            self._execute(index_schema.ADD_ENTRIES)
            self._execute(index_schema.CLEAR_BATCH)
            self._execute(index_schema.SET_LAST_SEQUENCE, sequence=max(until, after))

    def _trim_sessions(self) -> bool:
        after = self._number(index_schema.TRIMMED_UP_TO)
        spans = self._execute(index_schema.SPANS_TO_CHECK, after=after, limit=SPANS_PER_TRIM)
        for session, stage, first, last, is_known in spans:
            if not is_known:
                self._trim_span({"session": session, "stage": stage, "first": first, "last": last})
                # The next call looks at this session again: its deletion may not be complete.
                self._execute(index_schema.SET_TRIMMED_UP_TO, session=session - 1)
                return True
        if spans:
            self._execute(index_schema.SET_TRIMMED_UP_TO, session=spans[-1][0])
        return len(spans) == SPANS_PER_TRIM

    def _trim_compositions(self) -> bool:
        after = self._number(index_schema.COMPOSITIONS_TRIMMED_UP_TO)
        found = self._execute(index_schema.COMPOSITIONS_TO_CHECK, after=after, limit=SPANS_PER_TRIM)
        for composition, is_known in found:
            if not is_known:
                self._execute(
                    index_schema.DELETE_ENTRIES_OF_COMPOSITION, composition=composition, limit=ENTRIES_PER_TRIM
                )
                self._execute(index_schema.SET_COMPOSITIONS_TRIMMED_UP_TO, composition=composition - 1)
                return True
        is_last_page = len(found) < SPANS_PER_TRIM
        self._execute(index_schema.SET_COMPOSITIONS_TRIMMED_UP_TO, composition=0 if is_last_page else found[-1][0])
        if is_last_page:
            self._execute(index_schema.SET_TRIMMED_UP_TO, session=0)
        return not is_last_page

    def _trim_span(self, span: dict[str, int]) -> None:
        deleted = self._execute(index_schema.DELETE_ENTRIES, **span, names=_NAME_CODES, limit=ENTRIES_PER_TRIM)
        participants, users = ({row[column] for row in deleted} for column in (0, 1))
        self._execute(
            index_schema.DELETE_UNUSED_KEYS,
            participants=msgspec.json.encode(participants).decode(),
            users=msgspec.json.encode(users).decode(),
        )
        if len(deleted) == ENTRIES_PER_TRIM:
            return
        first = self._number(index_schema.FIRST_ENTRY_OF_SPAN, **span, names=_NAME_CODES)
        if first:
            self._execute(index_schema.SET_FIRST_OF_SPAN, first=first, session=span["session"])
        else:
            self._execute(index_schema.DELETE_SPAN, session=span["session"])

    def _execute(self, statement: str, **parameters: int | str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters).fetchall()

    def _number(self, statement: str, **parameters: int | str) -> int:
        """Return the number in the only row of a statement, 0 for NULL."""
        return int(self._execute(statement, **parameters)[0][0] or 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the lock of the index from the beginning, so that what is read stays true. The book is only read."""
        self._connection.execute("BEGIN IMMEDIATE").fetchall()
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK").fetchall()
            raise
        self._connection.execute("COMMIT").fetchall()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with _as_busy():
            try:
                yield
            except UNUSABLE:
                empty(self._connection)
                self.close()
                raise


@contextmanager
def _as_busy() -> Iterator[None]:
    try:
        yield
    except (apsw.BusyError, apsw.LockedError, apsw.SchemaChangeError, *UNUSABLE) as error:
        raise ServerBusyError("the search index is busy or is built again: try again") from error
