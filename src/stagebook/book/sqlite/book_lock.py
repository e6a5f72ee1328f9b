"""The lock that allows only one process to have a book open for writing.

It is an advisory `flock` on the file `<book>.lock`. The lock needs a separate file: SQLite holds POSIX locks on the
book itself, and a process loses all of those when it closes any other descriptor of the same file
(sqlite.org/howtocorrupt.html, section 2.2). The lock file holds the process id of the last holder, for error messages.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from stagebook.book.book_errors import BookRefusedError


class BookLock:
    """A lock on a book, held from `take` to `release`. The kernel releases it when the process ends for any reason.

    Leaving it as a context manager releases it too.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, book_path: Path) -> Self:
        """Lock the book at `book_path` for writing.

        Raises BookRefusedError if another process or another lock in this process holds it, or if the lock file cannot
        be opened.
        """
        lock_path = book_path.with_name(book_path.name + ".lock")
        try:
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BookRefusedError(
                f"{lock_path} cannot be opened ({error.strerror}): the data folder must exist and be writable."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise BookRefusedError(
                f"{book_path} is already open for writing by process {holder}. "
                "Stop that server first, or give this one another data folder."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return cls(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
