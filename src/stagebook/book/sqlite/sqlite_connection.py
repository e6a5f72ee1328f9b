"""A connection to a book on SQLite, for reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from stagebook.book.book_errors import BookFailedError
from stagebook.book.sqlite.book_connection import UNREADABLE, read_failure
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters


class SqliteConnection:
    """Implements `TableConnection` on a connection that `open_for_reading` has made."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._execute = connection.execute

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return all rows of a statement. Raises BookDamagedError and BookFailedError."""
        try:
            return self._execute(statement, parameters).fetchall()
        except UNREADABLE as error:
            raise read_failure(self.connection, error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads within the context be of one read transaction."""
        self.rows("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT").fetchall()

    def damaged(self, error: Exception) -> BookFailedError:
        """Return the error of rows that could not be decoded."""
        return read_failure(self.connection, error)

    def stop_when(self, must_stop: Callable[[], bool], *, steps: int) -> None:
        """Call `must_stop` each `steps` steps of SQLite's virtual machine; end the statement when it returns True."""
        self.connection.set_progress_handler(must_stop, steps)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self.connection.close()
