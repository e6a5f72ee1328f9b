"""All uploads of a process, their folder, and the bound of what waits.

`max_bytes` bounds what waits of the uploads that are in use. When it is exceeded, the upload with the most waiting
bytes fails, which is the one whose store is slow or down, and the others go on. What has been left by failed uploads
and by earlier processes is uploaded too. It is bounded by as many bytes again, and in number: above them, the oldest is
deleted.

One thread writes all files, so that a slow disk does not hold up the event loop. What it has not written yet is bounded
as well.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import structlog

from stagebook.storage.object_store import ObjectStore, StorageFault
from stagebook.storage.spool.spool_folder import JOURNAL_NAME, Leftover, UploadTarget, create, read_leftovers, remove
from stagebook.storage.spool.upload import Upload

_log = structlog.get_logger(__name__)

MAX_UNWRITTEN_BYTES: Final = 64 << 20
"""How much may wait for the disk, in memory."""
MAX_LEFT_UPLOADS: Final = 200
"""How many failed uploads are tried again."""


class UploadSpool:
    """The spool of a process, and the only one of its folder."""

    def __init__(self, folder: Path, store: ObjectStore, *, max_bytes: int) -> None:
        self._folder = folder
        self._store = store
        self._max_bytes = max_bytes
        self._in_use: dict[str, Upload] = {}
        self._left: dict[str, Upload] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._unwritten_bytes = 0
        self.failed_attempts = 0
        """How often the store has not taken an object, since the start."""

    @property
    def store(self) -> ObjectStore:
        """Where the objects go."""
        return self._store

    @property
    def waiting_bytes(self) -> int:
        """The size of all objects that the store does not have yet."""
        return sum(each.waiting_bytes for each in (*self._in_use.values(), *self._left.values()))

    def open(self, upload_id: str, target: UploadTarget) -> Upload:
        """Return a new upload. `upload_id` is the name of a folder. Raises OSError if the disk cannot be written."""
        folder = self._folder / upload_id
        create(folder, target)
        # Without a buffer of its own, so that what was written is in the file.
        journal = (folder / JOURNAL_NAME).open("ab", buffering=0)
        upload = self._in_use[upload_id] = Upload(self, folder, target=target, journal=journal)
        return upload

    def read_leftovers(self) -> list[Leftover]:
        """Return what earlier processes have left, oldest first. Blocks. Raises OSError."""
        return [each for each in read_leftovers(self._folder) if each.upload_id not in {*self._in_use, *self._left}]

    def adopt(self, leftover: Leftover) -> Upload:
        """Continue what an earlier process has left. It counts as left."""
        upload = Upload(self, self._folder / leftover.upload_id, target=leftover.target, journal=None)
        self._left[leftover.upload_id] = upload
        upload.restore(leftover.waiting)
        self._keep_left_bound()
        return upload

    def leave(self, upload: Upload) -> None:
        """Nobody adds to this upload any more. Its folder is removed when the store has all of its objects."""
        self._in_use.pop(upload.upload_id, None)
        self._left[upload.upload_id] = upload
        upload.close_journal()
        ending = asyncio.create_task(self._end(upload))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        self._keep_left_bound()

    async def stop(self) -> None:
        """Stop all uploads. What waits stays on disk, and the next process finds it."""
        for ending in list(self._ending):
            ending.cancel()
        for upload in (*self._in_use.values(), *self._left.values()):
            await upload.stop()
        # The writes that were submitted are done first.
        await asyncio.to_thread(self._thread.shutdown)

    def submit(self, work: Callable[[], None], *, size_bytes: int = 0) -> "asyncio.Future[None]":
        """As UploadHost.submit."""
        self._unwritten_bytes += size_bytes
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        running.add_done_callback(lambda done: self._note_done(done, size_bytes))
        return running

    def keep_bound(self) -> None:
        """As UploadHost.keep_bound."""
        used = [each for each in self._in_use.values() if each.fault is None]
        if sum(each.waiting_bytes for each in used) > self._max_bytes:
            self._fail_largest(
                used, f"more than {self._max_bytes} bytes wait for the store (recording_spool_megabytes)"
            )
        elif used and self._unwritten_bytes > MAX_UNWRITTEN_BYTES:
            self._fail_largest(used, f"more than {MAX_UNWRITTEN_BYTES} bytes wait for the disk")

    def note_failed_attempt(self) -> None:
        """As UploadHost.note_failed_attempt."""
        self.failed_attempts += 1

    def _fail_largest(self, used: list[Upload], detail: str) -> None:
        largest = max(used, key=lambda each: each.waiting_bytes)
        largest.fail(largest.last_fault or StorageFault.UNAVAILABLE, detail=detail)

    def _keep_left_bound(self) -> None:
        while len(self._left) > MAX_LEFT_UPLOADS or (
            len(self._left) > 1 and sum(each.waiting_bytes for each in self._left.values()) > self._max_bytes
        ):
            oldest = next(iter(self._left.values()))
            _log.error("objects are given up: the spool is full", upload=oldest.upload_id, bytes=oldest.waiting_bytes)
            self._left.pop(oldest.upload_id)
            deleting = asyncio.create_task(self._delete(oldest))
            self._ending.add(deleting)
            deleting.add_done_callback(self._ending.discard)

    async def _end(self, upload: Upload) -> None:
        await upload.wait_empty()
        await self._delete(upload)

    async def _delete(self, upload: Upload) -> None:
        self._left.pop(upload.upload_id, None)
        await upload.stop()
        await self.submit(lambda: remove(upload.folder))

    def _note_done(self, done: "asyncio.Future[None]", size_bytes: int) -> None:
        self._unwritten_bytes -= size_bytes
        if not done.cancelled():
            done.exception()  # An upload reads that of its own write.
