"""The file of a SQLite book during deletion: its log, and the space that deleted rows leave."""

from typing import Any

import apsw

from stagebook.book.book_values import RetentionStep


def give_back_pages(connection: apsw.Connection, maximum_pages: int) -> tuple[RetentionStep, bool]:
    """Cut at most `maximum_pages` free pages off the file. Return also whether there are more.

    SQLite moves the last pages of the file to the place of free ones (sqlite.org/pragma.html, incremental_vacuum). The
    file becomes shorter at the next checkpoint. A file without `auto_vacuum` keeps its free pages for new rows.
    """
    before = _number(connection, "page_count")
    connection.execute(f"PRAGMA incremental_vacuum({maximum_pages})").fetchall()
    pages = before - _number(connection, "page_count")
    step = RetentionStep(freed_bytes=pages * _number(connection, "page_size"))
    return step, pages > 0 and _number(connection, "freelist_count") > 0


def move_log(connection: apsw.Connection) -> RetentionStep:
    """Write the write-ahead log to the file as far as no reader needs it, without waiting for one."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return RetentionStep()


def truncate_log(connection: apsw.Connection) -> RetentionStep:
    """Write the write-ahead log to the file and empty it. With a reader in the log, it stays as it is."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return RetentionStep()


def _number(connection: apsw.Connection, pragma: str) -> int:
    value: Any = connection.pragma(pragma)
    return int(value)
