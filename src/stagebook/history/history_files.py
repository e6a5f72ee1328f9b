"""The open files of one reader of the history, and the limit of the time that it may read."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from stagebook.book.sqlite.book_connection import READ_CACHE_SIZE_KIB
from stagebook.book.sqlite.open_readers import open_connection
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.book.tables.table_reader import TableReader
from stagebook.history.search.index_file import STEPS_BETWEEN_CHECKS
from stagebook.history.search.search_index import SearchIndex

SEARCH_INDEX_NAME = "search.sqlite3"
"""The file of the search index, beside the book."""


class HistoryInterruptedError(Exception):
    """A read must stop: its time is over, or nobody waits for the result any more."""


class HistoryFiles:
    """The files that reads of the history use. Only one thread may use them.

    `log` has the events in the order of their sequence numbers, `sessions` those of a session by participant. `book`
    has everything else, also of deleted stages; the stream keys that it returns are sealed. Each of their reads is one
    statement and returns complete lists. `index` finds the sequence numbers of events.
    """

    log: TableEventLog
    book: TableReader
    sessions: SessionHistory

    def __init__(
        self,
        book_path: Path,
        *,
        must_stop: Callable[[], bool] = lambda: False,
        cache_size_kib: int = READ_CACHE_SIZE_KIB,
    ) -> None:
        """Open the files. `must_stop` is called again and again while a statement runs, and ends it if it is true.

        `cache_size_kib` bounds the pages of the book that are kept in memory.

        Raises BookRefusedError for a book that is missing or cannot be read.
        """
        self._must_stop = must_stop
        self._connection = open_connection(book_path, cache_size_kib=cache_size_kib)
        self._connection.stop_when(must_stop, steps=STEPS_BETWEEN_CHECKS)
        self.log = TableEventLog(self._connection)
        self.book = TableReader(self._connection, show_deleted_history=True)
        self.sessions = SessionHistory(self._connection)
        self._book_path = book_path
        self._index: SearchIndex | None = None

    @property
    def has_index(self) -> bool:
        """Whether there is a file of the search index."""
        return self._book_path.with_name(SEARCH_INDEX_NAME).exists()

    @property
    def index(self) -> SearchIndex:
        """The search index. It is opened or created at the first use, and again if it was damaged.

        Raises ServerBusyError.
        """
        if self._index is None or self._index.is_closed:
            path = self._book_path.with_name(SEARCH_INDEX_NAME)
            self._index = SearchIndex.open(path, book_path=self._book_path, must_stop=self._must_stop)
        return self._index

    def check(self) -> None:
        """Raise HistoryInterruptedError if the read must stop. For loops in Python: statements stop by themselves."""
        if self._must_stop():
            raise HistoryInterruptedError

    def close(self) -> None:
        """Close the files. Idempotent."""
        self._connection.close()
        if self._index is not None:
            self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
