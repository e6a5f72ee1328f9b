"""Objects in a local folder, the embedded default: `<folder>/<bucket name>/<key>`.

Every bucket exists: its folder is made when it is first used. Folders have mode 0700 and files 0600, as those of the
data folder. An object is written under a temporary name and renamed, so that a reader, or a crash, never sees half of
it. It is synced before `put` returns, because the spool then deletes its copy. Writes run in threads. A disk that is
almost full takes no more objects.
"""

import asyncio
import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from stagebook.storage.object_store import StorageError, StorageFault

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
TEMPORARY_SUFFIX: Final = ".writing"
KEPT_FREE_BYTES: Final = 128 << 20
"""What recordings leave free of a disk: the book may be on it, and must not stop for want of space."""


class FolderStore:
    """An ObjectStore in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def check_bucket(self, bucket_name: str) -> None:
        """As ObjectStore.check_bucket. The folder of the bucket is made."""
        await asyncio.to_thread(self._check, self._path(bucket_name, ()))

    async def put(self, bucket_name: str, key: str, body: bytes, *, content_type: str) -> None:  # noqa: ARG002 - a file has none
        """As ObjectStore.put."""
        path = self._path(bucket_name, tuple(key.split("/")))
        await asyncio.to_thread(self._write, path, body)

    def _path(self, bucket_name: str, segments: tuple[str, ...]) -> Path:
        """Return the path of an object. Raises StorageError for one that could be outside of the bucket's folder."""
        for part in (bucket_name, *segments):
            if part in {"", ".", ".."} or "/" in part or "\0" in part:
                raise StorageError(
                    fault=StorageFault.UNAVAILABLE, detail="a bucket name or key that is no path below the folder"
                )
        return self._folder.joinpath(bucket_name, *segments)

    def _check(self, path: Path) -> None:
        try:
            make_folders(path)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(path)
        except OSError as error:
            raise _storage_error(error) from error

    def _write(self, path: Path, body: bytes) -> None:
        try:
            make_folders(path.parent)
            write_file(path, body)
            sync(path)
            sync(path.parent)
        except OSError as error:
            raise _storage_error(error) from error


def make_folders(path: Path) -> None:
    """Make a folder, and those above it, with mode 0700; they outlast a power failure. Raises OSError."""
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        _inherit_owner(path)
        sync(path.parent)


def write_file(path: Path, body: bytes) -> None:
    """Write a file with mode 0600, completely or not at all; after a power failure, that holds if it was synced with
    its folder. Raises OSError, also for a disk that would have less than KEPT_FREE_BYTES left."""
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < KEPT_FREE_BYTES + len(body):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        _inherit_owner(temporary)
        temporary.replace(path)
    except OSError:
        # What was written of it must not fill a disk that is full.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def sync(path: Path) -> None:
    """Let a file, or the names in a folder, outlast a power failure. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inherit_owner(path: Path) -> None:
    """Let what root has made belong to the owner of its folder: other processes that write there are not root."""
    if os.geteuid() == 0:
        status = path.parent.stat()
        os.chown(path, status.st_uid, status.st_gid)


def _storage_error(error: OSError) -> StorageError:
    is_denied = isinstance(error, PermissionError)
    fault = StorageFault.ACCESS_DENIED if is_denied else StorageFault.UNAVAILABLE
    return StorageError(fault=fault, detail=error.strerror or str(error) or type(error).__name__)
