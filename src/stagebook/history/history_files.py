"""The open book of one reader of the history, and the limit of the time that it may read."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from stagebook.book.book_source import BookSource, open_tables
from stagebook.book.sqlite.book_connection import READ_CACHE_SIZE_KIB
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_connection import TableConnection
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.book.tables.table_reader import TableReader
from stagebook.history.search.search_index import SearchIndex

SEARCH_INDEX_NAME = "search.sqlite3"
"""The file of the search index, beside the book."""


class HistoryInterruptedError(Exception):
    """A read must stop: its time is over, or nobody waits for the result any more."""


class HistoryFiles:
    """The files that reads of the history use. Only one thread may use them.

    `log` has the events in the order of their sequence numbers, `sessions` those of a session by participant. `book`
    has everything else, also of deleted stages; the stream keys that it returns are sealed. Each of their reads is one
    statement and returns complete lists. All use the connection `tables`. A SQLite book has a search index beside it:
    `index` finds the sequence numbers of events.
    """

    tables: TableConnection
    log: TableEventLog
    book: TableReader
    sessions: SessionHistory

    def __init__(
        self,
        source: BookSource,
        *,
        must_stop: Callable[[], bool] = lambda: False,
        statement_seconds: float | None = None,
        cache_size_kib: int = READ_CACHE_SIZE_KIB,
    ) -> None:
        """Open the book. The arguments are those of `open_tables`.

        Raises BookRefusedError for a book that is missing or cannot be read.
        """
        self._must_stop = must_stop
        connection = self.tables = open_tables(
            source, must_stop=must_stop, statement_seconds=statement_seconds, cache_size_kib=cache_size_kib
        )
        self.log = TableEventLog(connection)
        self.book = TableReader(connection, show_deleted_history=True)
        self.sessions = SessionHistory(connection, keys_follow_time=isinstance(source, Path))
        self._source = source
        self._index: SearchIndex | None = None

    @property
    def has_index(self) -> bool:
        """Whether there is a file of the search index."""
        return isinstance(self._source, Path) and self._source.with_name(SEARCH_INDEX_NAME).exists()

    @property
    def can_be_indexed(self) -> bool:
        """Whether the book can have a search index. Otherwise its tables are searched (`table_search`)."""
        return isinstance(self._source, Path)

    @property
    def index(self) -> SearchIndex:
        """The search index. It is opened or created at the first use, and again if it was damaged.

        Raises ServerBusyError, and ValueError for a book that cannot be indexed.
        """
        if self._index is None or self._index.is_closed:
            if not isinstance(self._source, Path):
                raise ValueError("a book in a database has no search index")
            path = self._source.with_name(SEARCH_INDEX_NAME)
            self._index = SearchIndex.open(path, book_path=self._source, must_stop=self._must_stop)
        return self._index

    def check(self) -> None:
        """Raise HistoryInterruptedError if the read must stop. For loops in Python: statements stop by themselves."""
        if self._must_stop():
            raise HistoryInterruptedError

    def close(self) -> None:
        """Close the files. Idempotent."""
        self.tables.close()
        if self._index is not None:
            self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
