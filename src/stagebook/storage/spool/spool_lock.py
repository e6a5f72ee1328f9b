"""The lock of a spool: only one process writes, uploads and deletes in its folder.

A process that the server has lost goes on for a moment, while the next server starts another one. The lock is an
advisory `flock` on the folder itself, so it needs no file, and the kernel releases it when the process ends for any
reason.
"""

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Final, Self

import structlog

from stagebook.storage.folder_store import make_folders

POLL_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)


class SpoolLock:
    """A lock that is held, from `take` to `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path, *, timeout_seconds: float) -> Self:
        """Lock the folder of a spool; it is made if it does not exist. Blocks.

        Raises OSError (EBUSY) if another process holds the lock for `timeout_seconds`, and for a folder that cannot be
        opened.
        """
        deadline: float | None = None
        while True:
            make_folders(folder)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _lock(descriptor) and _is_same(descriptor, folder):
                return cls(descriptor)
            os.close(descriptor)
            if deadline is None:
                deadline = time.monotonic() + timeout_seconds
                _log.warning("another process uses the spool: waiting for its end", folder=str(folder))
            elif time.monotonic() > deadline:
                raise OSError(errno.EBUSY, f"another process uses the spool {folder}: end that recorder first")
            time.sleep(POLL_SECONDS)

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def wait_for_spool(folder: Path, *, timeout_seconds: float) -> bool:
    """Wait until no process uses the spool in a folder. Returns whether that is so. Blocks. Raises OSError for a folder
    that cannot be opened."""
    if not folder.is_dir():
        return True
    try:
        SpoolLock.take(folder, timeout_seconds=timeout_seconds).release()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(descriptor: int, folder: Path) -> bool:
    """Whether a folder is still the one that was opened: its last user may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(folder))  # noqa: PTH116 - for samestat
    except FileNotFoundError:
        return False
