"""The folders of processes that record or compose: that of recordings, and one for the sockets of their taps.

Both belong to the user of the processes, who may differ from the server's, and are private.
"""

import asyncio
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stagebook.media.worker.least_rights import ProcessUser

FOLDER_MODE: Final = 0o700
PREPARE_SECONDS: Final = 60.0
"""How long a process waits for the folder. After a change of the user, each file of each recording is given to it."""


class RecordingsFolder:
    """Makes the folders when they are needed."""

    def __init__(self, path: Path, *, user: ProcessUser | None) -> None:
        """`path` is the folder of recordings, the working directory of the processes. They run as `user`, or as this
        process's user."""
        self.path = path
        self._user = user
        self._preparing: asyncio.Future[None] | None = None
        self._tap_directory: tempfile.TemporaryDirectory[str] | None = None

    async def prepared(self, *spool_names: str) -> None:
        """Do as `prepare` in a thread. Raises OSError, also if it takes longer than PREPARE_SECONDS: then it goes on,
        and a later call waits for it again."""
        if self._preparing is None:
            self._preparing = asyncio.ensure_future(asyncio.to_thread(self.prepare, *spool_names))
        preparing = self._preparing
        await asyncio.wait([preparing], timeout=PREPARE_SECONDS)
        if not preparing.done():
            raise OSError(errno.ETIMEDOUT, f"{self.path} is still being given to the user of the processes")
        if self._preparing is preparing:
            self._preparing = None
        preparing.result()

    def prepare(self, *spool_names: str) -> None:
        """Make the folder of recordings, with these folders in it. Raises OSError.

        What another user has made in it is given to the user of the processes, the folder itself at last: if this is
        interrupted, the next call does all of it.
        """
        self.path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        for name in spool_names:
            spool = self.path / name
            spool.mkdir(mode=FOLDER_MODE, exist_ok=True)
            self._give(spool)
        if self._user is not None and self.path.stat().st_uid != self._user.user_id:
            for path in _all_below(self.path):
                self._give(path)
            self._give(self.path)

    def open_tap_directory(self) -> str:
        """Return the path of the folder for sockets; the first call makes it. Raises OSError."""
        if self._tap_directory is None:
            # The directory has mode 0700. Its path is short, because a unix socket's path has at most 107 bytes.
            self._tap_directory = tempfile.TemporaryDirectory(prefix="stagebook-")
            self._give(Path(self._tap_directory.name))
        return self._tap_directory.name

    def close(self) -> None:
        """Delete the folder for sockets. The processes have ended."""
        if self._tap_directory is not None:
            self._tap_directory.cleanup()

    def _give(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.user_id, self._user.group_id, follow_symlinks=False)


def _all_below(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder, one after the other: there may be millions of files."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent, name)
