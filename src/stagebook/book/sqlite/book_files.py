"""The files of an open book, and whether they are still in place.

A process that has a file open goes on writing to it after another process has deleted or replaced it. Every commit then
succeeds, and all of them are lost when the server ends. Before transactions are acknowledged, `require_in_place`
therefore compares the files at the paths of the book with those that were opened. It costs two calls of stat(2).

The write-ahead log counts as well: until a checkpoint it holds the only copy of the newest commits.
"""

import os

import apsw


class BookMovedError(Exception):
    """A file of the book was deleted or replaced while the book was open."""


class BookFiles:
    """The files that a writing connection has open.

    The write-ahead log is recorded by the first call of `require_in_place`, which must follow a commit: SQLite creates
    the file when it first needs it.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        # The paths are SQLite's own, with symbolic links resolved: the log is beside the file, not beside the link.
        self._book, self._log = connection.filename, connection.filename_wal
        self._identities = {self._book: _identity(self._book)}

    def require_in_place(self) -> None:
        """Raise BookMovedError if the book or its write-ahead log is no longer the file that was opened."""
        for path in (self._book, self._log):
            found = _identity(path)
            if found is None or self._identities.setdefault(path, found) != found:
                raise BookMovedError(
                    f"{path} was {'deleted' if found is None else 'replaced'} while the server had it open. "
                    "The server must stop: put the file back or restore a backup, then start it again"
                )


def _identity(path: str) -> tuple[int, int] | None:
    """Return the device and inode of the file at a path, None if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each commit would cost more than the call
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
