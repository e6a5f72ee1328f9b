"""The file with the bearer keys of the watch API: `bearer-keys.json` in the data folder.

The command line changes it, whether a server runs or not, and the server reads it. A change replaces the whole file
atomically, so that a reader sees either the old or the new keys. Commands that run at the same time wait for each
other: they lock the folder (flock), because a lock on the file would be lost with the file that is replaced.
"""

import fcntl
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.data_folder.folder_permissions import DataFolderError, read_secret_file, require_owner
from stagebook.data_folder.secrets import BEARER_KEY_FILE_NAME, write_atomically

MAXIMUM_KEYS = 1_000
MAXIMUM_FILE_SIZE_BYTES = 1_048_576
VERSION = 1


class BearerKeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file."""

    version: int
    keys: tuple[BearerKey, ...]


class BearerKeyFile:
    """The bearer keys of the data folder at `folder`. The folder must exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / BEARER_KEY_FILE_NAME

    def stamp(self) -> Hashable:
        """Return a value that differs after each change of the file. Raises OSError."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def read(self) -> tuple[BearerKey, ...]:
        """Return all keys, also those that have expired; none if there is no file.

        Raises DataFolderError if the file is damaged, or if another user owns it or can read it.
        """
        if not self.path.exists():
            return ()
        # Root may list the keys of a server that another user runs: the folder's owner counts, not the process's.
        content = read_secret_file(self.path, owner_id=self.folder.stat().st_uid)
        try:
            if len(content) > MAXIMUM_FILE_SIZE_BYTES:
                raise ValueError("too large")
            decoded = msgspec.json.decode(content, type=BearerKeyDocument)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise DataFolderError(
                f"{self.path} is damaged ({error}): restore it from a backup, or remove it and create new keys"
            ) from error
        if decoded.version != VERSION:
            raise DataFolderError(f"{self.path} has version {decoded.version}, which this Stagebook does not know")
        return decoded.keys

    def add(self, key: BearerKey) -> None:
        """Add a key. Raises DataFolderError if there are MAXIMUM_KEYS already or the file cannot be used."""

        def change(keys: tuple[BearerKey, ...]) -> tuple[BearerKey, ...]:
            if len(keys) >= MAXIMUM_KEYS:
                raise DataFolderError(f"there are {MAXIMUM_KEYS} keys already: revoke some, expired ones count as well")
            return (*keys, key)

        self._change(change)

    def remove(self, key_id: str) -> bool:
        """Remove the key of an id; return whether there was one. Raises DataFolderError."""
        removed: list[BearerKey] = []

        def change(keys: tuple[BearerKey, ...]) -> tuple[BearerKey, ...]:
            removed.extend(key for key in keys if key.key_id == key_id)
            return tuple(key for key in keys if key.key_id != key_id)

        self._change(change)
        return bool(removed)

    def _change(self, change: Callable[[tuple[BearerKey, ...]], tuple[BearerKey, ...]]) -> None:
        with self._locked():
            content = BearerKeyDocument(version=VERSION, keys=change(self.read()))
            write_atomically(self.path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the folder. The file would belong to the user of the command, so that must be the owner."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DataFolderError(f"data folder {self.folder} cannot be opened: {error.strerror}") from error
        try:
            require_owner(self.folder, os.fstat(descriptor), owner_id=os.geteuid())
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
