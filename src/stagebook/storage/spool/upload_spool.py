"""All uploads of a process, their folder, and the bound of what waits.

`max_bytes` bounds what waits of the uploads that are in use. When it is exceeded, the upload with the most waiting
bytes fails, which is the one whose store is slow or down, and the others go on. What has been left by failed uploads
and by earlier processes is uploaded too. It is bounded by as many bytes again, in number and in age: above them, the
oldest is deleted.

The folder of an upload stays until the store has all of its objects and the upload is settled: nobody needs its journal
any more.

One thread writes all files, so that a slow disk does not hold up the event loop. What it has not written yet is bounded
as well.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import structlog

from stagebook.storage.object_store import ObjectStore, StorageFault
from stagebook.storage.spool.spool_folder import Leftover, UploadTarget, read_leftovers, remove
from stagebook.storage.spool.spool_lock import SpoolLock
from stagebook.storage.spool.upload import Upload

_log = structlog.get_logger(__name__)

MAX_UNWRITTEN_BYTES: Final = 64 << 20
"""How much may wait for the disk, in memory."""
MAX_LEFT_UPLOADS: Final = 200
"""How many failed uploads are tried again."""
LOCK_SECONDS: Final = 10.0
"""How long an earlier process is waited for, which is about to exit: it writes what it has, and uploads no more."""


class UploadSpool:
    """The spool of a process, and the only one of its folder."""

    def __init__(
        self, folder: Path, store: ObjectStore, *, max_bytes: int, max_left_seconds: float = float("inf")
    ) -> None:
        """`max_left_seconds` is how long the store may refuse what was left."""
        self._folder = folder
        self._store = store
        self._max_bytes = max_bytes
        self._max_left_seconds = max_left_seconds
        self._lock: SpoolLock | None = None
        self._in_use: dict[str, Upload] = {}
        self._left: dict[str, Upload] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._unwritten_bytes = 0
        self.failed_attempts = 0
        """How often the store has not taken an object, since the start."""
        self.abandoned_uploads = 0
        """How many uploads were deleted before the store had all of their objects, since the start."""

    @property
    def store(self) -> ObjectStore:
        """Where the objects go."""
        return self._store

    @property
    def waiting_bytes(self) -> int:
        """The size of all objects that the store does not have yet."""
        return sum(each.waiting_bytes for each in (*self._in_use.values(), *self._left.values()))

    @property
    def left_uploads(self) -> int:
        """How many uploads wait for the store that nobody adds to."""
        return len(self._refused())

    @property
    def oldest_left_seconds(self) -> float:
        """How long the oldest of `left_uploads` has been left; 0 without one."""
        return max((time.time() - each.left_at for each in self._refused()), default=0.0)

    async def lock(self, *, timeout_seconds: float = LOCK_SECONDS) -> None:
        """Be the only process that uses the folder, until `stop`. Raises OSError if another one goes on using it."""
        self._lock = await asyncio.to_thread(SpoolLock.take, self._folder, timeout_seconds=timeout_seconds)

    def open(self, upload_id: str, target: UploadTarget) -> Upload:
        """Return a new upload. `upload_id` is the name of a folder. A disk that cannot be written is its fault."""
        upload = self._in_use[upload_id] = Upload(self, self._folder / upload_id, target=target)
        upload.create()
        return upload

    def read_leftovers(self) -> list[Leftover]:
        """Return what earlier processes have left, oldest first. Blocks. Raises OSError."""
        return [each for each in read_leftovers(self._folder) if each.upload_id not in {*self._in_use, *self._left}]

    def adopt(self, leftover: Leftover) -> Upload:
        """Continue what an earlier process has left. It counts as left."""
        upload = Upload(self, self._folder / leftover.upload_id, target=leftover.target)
        upload.left_at = leftover.changed_at
        self._left[leftover.upload_id] = upload
        upload.restore(leftover.waiting)
        self.keep_left_bound()
        return upload

    def leave(self, upload: Upload, *, is_settled: bool = True) -> None:
        """Nobody adds to this upload any more. Its folder is removed when the store has all of its objects, and when
        it is settled."""
        if upload.is_abandoned:
            return
        if self._in_use.pop(upload.upload_id, None) is not None:
            upload.left_at = time.time()
        self._left[upload.upload_id] = upload
        if is_settled:
            upload.is_settled.set()
        ending = asyncio.create_task(self._end(upload))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        self.keep_left_bound()

    def settle(self, upload_id: str) -> None:
        """Nobody needs the journal of an upload any more. Unknown ids are ignored."""
        if (upload := self._left.get(upload_id)) is not None:
            upload.is_settled.set()

    async def stop(self) -> None:
        """Stop all uploads. What waits stays on disk, and the next process finds it."""
        for ending in list(self._ending):
            ending.cancel()
        for upload in (*self._in_use.values(), *self._left.values()):
            await upload.stop()
        # The writes that were submitted are done first.
        await asyncio.to_thread(self._thread.shutdown)
        if self._lock is not None:
            self._lock.release()

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

    def keep_left_bound(self) -> None:
        """Delete the oldest uploads that were left, above the bounds. To be called now and then: time goes on."""
        while refused := self._refused():
            oldest = min(refused, key=lambda each: each.left_at)
            age_seconds = time.time() - oldest.left_at
            is_full = len(refused) > MAX_LEFT_UPLOADS or (
                len(refused) > 1 and sum(each.waiting_bytes for each in refused) > self._max_bytes
            )
            if not is_full and age_seconds <= self._max_left_seconds:
                return
            _log.error(
                "objects are deleted: the store has not accepted them",
                reason="the spool is full" if is_full else "they are too old",
                upload=oldest.upload_id,
                bucket=oldest.target.bucket_name,
                prefix=oldest.target.prefix,
                bytes=oldest.waiting_bytes,
                age_seconds=round(age_seconds),
            )
            self.abandoned_uploads += 1
            oldest.is_abandoned = True
            self._left.pop(oldest.upload_id)
            deleting = asyncio.create_task(self._delete(oldest))
            self._ending.add(deleting)
            deleting.add_done_callback(self._ending.discard)

    def _refused(self) -> list[Upload]:
        return [each for each in self._left.values() if not each.is_empty]

    async def _end(self, upload: Upload) -> None:
        await upload.wait_empty()
        await upload.is_settled.wait()
        await self._delete(upload)

    async def _delete(self, upload: Upload) -> None:
        self._left.pop(upload.upload_id, None)
        await upload.stop()
        await self.submit(lambda: remove(upload.folder))

    def _note_done(self, done: "asyncio.Future[None]", size_bytes: int) -> None:
        self._unwritten_bytes -= size_bytes
        if not done.cancelled():
            done.exception()  # An upload reads that of its own write.
