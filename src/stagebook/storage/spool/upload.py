"""The objects of one recording or composition on their way into the store, in the order in which they were put.

    put -> in memory -> on disk (the thread of the spool) -> in the store (the task of the upload) -> removed from disk

A later object of the same name replaces one that still waits, and takes its own place in the order: a playlist never
reaches the store before the segments that it names. A failure of the store is tried again with growing delays, for as
long as the upload exists: nothing is given up here.

The disk can lose an object: it is full, or damaged. Playlists that were put after such an object may name it, and are
dropped. The journal ends before it, so that playlists can be made of what it says.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import structlog

from stagebook.storage.object_store import ObjectStore, StorageError, StorageFault
from stagebook.storage.spool.spool_folder import (
    JOURNAL_NAME,
    ObjectHeader,
    UploadTarget,
    WaitingObject,
    append_record,
    create,
    object_path,
    read_object,
    write_object,
)

_log = structlog.get_logger(__name__)

FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 30.0
PLAYLIST_SUFFIX: Final = ".m3u8"
LASTING_FAULTS: Final = frozenset({StorageFault.BUCKET_NOT_FOUND, StorageFault.ACCESS_DENIED})
"""Faults that do not pass by themselves: a drain does not wait for them."""


class UploadHost(Protocol):
    """What an upload needs of its spool."""

    @property
    def store(self) -> ObjectStore:
        """Where the objects go."""

    def submit(self, work: Callable[[], None], *, size_bytes: int = 0) -> "asyncio.Future[None]":
        """Run blocking work in the one thread of the spool, in the order of the calls. It holds `size_bytes`."""

    def keep_bound(self) -> None:
        """An object was added: see to the bound of all uploads."""

    def note_failed_attempt(self) -> None:
        """The store has not taken an object, which is tried again."""


class Upload:
    """One upload. Its methods are called on the event loop's thread."""

    def __init__(self, host: UploadHost, folder: Path, *, target: UploadTarget) -> None:
        self.upload_id = folder.name
        self.folder = folder
        self.target = target
        self.fault: StorageFault | None = None
        """Why the upload takes no more objects, from the next turn of the event loop on; None while it does."""
        self.on_fault: Callable[[StorageFault], None] = lambda _fault: None
        """Called once, soon after `fault` is set."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called when the disk has lost an object, before a later one is stored."""
        self.has_lost_object = False
        self.has_stored = False
        """The store has taken an object."""
        self.last_fault: StorageFault | None = None
        """The failure of the last attempt; None after a success."""
        self.waiting_bytes = 0
        self.left_at = 0.0
        """When the last object was put, in seconds since the epoch, if the upload is left."""
        self.is_abandoned = False
        """Its folder is deleted, above a bound of the spool."""
        self.is_settled = asyncio.Event()
        """Set when the journal is of no more use."""
        self._host = host
        self._unsynced: list[int] = []
        """The objects since the last record of the journal."""
        self._is_damaged = False
        """Whether something could not be written; set and read on the thread of the spool."""
        self._waiting: OrderedDict[str, WaitingObject] = OrderedDict()
        self._writes: dict[int, asyncio.Future[None]] = {}
        self._next_number = 1
        self._is_closed = False
        self._is_completed = False
        self._is_new = asyncio.Event()
        self._is_hurried = asyncio.Event()
        self._progress = asyncio.Event()
        self._attempts_begun = 0
        self._task = asyncio.create_task(self._run())

    @property
    def is_empty(self) -> bool:
        """Whether the store has all objects."""
        return not self._waiting

    def create(self) -> None:
        """Make the folder of a new upload. A failure is the upload's fault."""
        self._submit(lambda: create(self.folder, self.target), "the spool cannot be written")

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """As ObjectWriter.put. Once `on_fault` was called, objects are dropped."""
        if self._is_closed and not self._is_completed:
            return
        self.put_last(name, body, content_type)
        if self.fault is None:
            self._host.keep_bound()

    @contextlib.contextmanager
    def last_objects(self) -> Iterator[None]:
        """Take what is put in this context, also after a fault and above the bound: it completes the upload."""
        self._is_completed = True
        try:
            yield
        finally:
            self._is_completed = False

    def put_last(self, name: str, body: bytes, content_type: str) -> None:
        """Put an object that completes the upload, also after a fault and above the bound."""
        if not (self.has_lost_object and _is_playlist(name)):
            self._put(name, body, content_type)

    def put_recovered(self, name: str, body: bytes, content_type: str) -> None:
        """Put an object that was made of the journal, also a playlist after the loss of an object."""
        self._put(name, body, content_type)

    async def read_journal(self) -> bytes:
        """Return the journal, once all that was put is on disk or lost. Raises OSError."""
        journal = b""

        def read() -> None:
            nonlocal journal
            journal = (self.folder / JOURNAL_NAME).read_bytes()

        await self._host.submit(read)
        return journal

    def _put(self, name: str, body: bytes, content_type: str) -> None:
        number = self._next_number
        header = ObjectHeader(name=name, content_type=content_type)
        writing = self._submit(
            lambda: write_object(self.folder, number, header, body), "the spool cannot be written", size_bytes=len(body)
        )
        self._writes[number] = writing
        self._unsynced.append(number)
        each = WaitingObject(number=number, name=name, size_bytes=len(body))
        writing.add_done_callback(lambda done: self._note_object_written(done, each))
        self._add(each)

    def append_journal(self, record: bytes) -> None:
        """Append to the journal, once everything that was put before is on disk. A failure is the upload's fault; no
        record follows it."""
        objects, self._unsynced = self._unsynced, []
        self._submit(
            lambda: append_record(self.folder, record, objects=objects),
            "the journal cannot be written",
            size_bytes=len(record),
            is_journal=True,
        )

    def withdraw(self, name: str) -> None:
        """Remove an object that waits. One that is being sent may be stored all the same."""
        if (each := self._waiting.pop(name, None)) is not None:
            self._forget(each)
            self._progress.set()

    def fail(self, fault: StorageFault, *, detail: str) -> None:
        """Take no more objects. Those that wait are still uploaded."""
        if self.fault is None:
            self.fault = fault
            _log.error("an upload failed", upload=self.upload_id, bucket=self.target.bucket_name, detail=detail)
            # Not from here: the caller may be about to put more objects, which belong together.
            asyncio.get_running_loop().call_soon(self._close, fault)

    def _close(self, fault: StorageFault) -> None:
        self._is_closed = True
        self.on_fault(fault)

    def restore(self, waiting: tuple[WaitingObject, ...]) -> None:
        """Continue with the objects that an earlier process has left on disk."""
        for each in waiting:
            self._next_number = each.number
            self._add(each)

    async def drain(self, *, timeout_seconds: float) -> None:
        """Wait until the store has all objects.

        Raises StorageError after `timeout_seconds`, with the last failure; and before, for a failed attempt that was
        begun during the drain if it does not pass by itself. The objects that wait stay, and are tried again.
        """
        begun = self._attempts_begun
        self._is_hurried.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._waiting and not (self._attempts_begun > begun and self.last_fault in LASTING_FAULTS):
                    self._progress.clear()
                    await self._progress.wait()
        if self._waiting:
            fault = self.last_fault or StorageFault.UNAVAILABLE
            raise StorageError(fault=fault, detail=f"{len(self._waiting)} objects are not stored")

    async def wait_empty(self) -> None:
        """Wait until the store has all objects, for as long as that takes."""
        while self._waiting:
            self._progress.clear()
            await self._progress.wait()

    async def stop(self) -> None:
        """Stop uploading. What waits stays on disk."""
        self._task.cancel()
        await asyncio.wait([self._task, *self._writes.values()])

    def _add(self, each: WaitingObject) -> None:
        self._next_number = each.number + 1
        replaced = self._waiting.pop(each.name, None)
        self._waiting[each.name] = each
        self.waiting_bytes += each.size_bytes
        if replaced is not None:
            self._forget(replaced)
        self._is_new.set()

    def _forget(self, each: WaitingObject) -> None:
        """Remove the file of an object, behind all that was written so far."""
        self.waiting_bytes -= each.size_bytes
        self._host.submit(lambda: object_path(self.folder, each.number).unlink(missing_ok=True))

    def _submit(
        self, work: Callable[[], None], failure: str, *, size_bytes: int = 0, is_journal: bool = False
    ) -> "asyncio.Future[None]":
        """Let the thread of the spool write. After a failure the journal ends, so that it stays true."""

        def write() -> None:
            if is_journal and self._is_damaged:
                return
            try:
                work()
            except OSError:
                self._is_damaged = True
                raise

        writing = self._host.submit(write, size_bytes=size_bytes)
        writing.add_done_callback(lambda done: self._note_written(done, failure))
        return writing

    def _note_written(self, done: "asyncio.Future[None]", failure: str) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self.fail(StorageFault.UNAVAILABLE, detail=f"{failure}: {error}")

    def _note_object_written(self, done: "asyncio.Future[None]", each: WaitingObject) -> None:
        del self._writes[each.number]
        if not done.cancelled() and done.exception() is not None and self._remove(each):
            self._lose(each)

    def _lose(self, lost: WaitingObject) -> None:
        """The disk has lost an object: drop the playlists that may name it."""
        self.has_lost_object = True
        for each in [each for each in self._waiting.values() if each.number > lost.number and _is_playlist(each.name)]:
            self._remove(each)
        self.on_lost()
        self._progress.set()

    async def _run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            if not self._waiting:
                self._is_new.clear()
                await self._is_new.wait()
            self._attempts_begun += 1
            if await self._store(next(iter(self._waiting.values()))):
                delay = FIRST_DELAY_SECONDS
            else:
                self._is_hurried.clear()
                self._progress.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._is_hurried.wait(), delay)
                delay = min(2 * delay, MAX_DELAY_SECONDS)
            self._progress.set()

    async def _store(self, each: WaitingObject) -> bool:
        """Store the object that waits longest. Returns False if the store fails."""
        writing = self._writes.get(each.number)
        if writing is not None:
            await asyncio.wait([writing])
        try:
            header, body = await asyncio.to_thread(read_object, self.folder, each.number)
        except (OSError, ValueError) as error:
            # A replaced object has no file any more. Otherwise the disk has lost it: the next ones go on without it.
            if self._remove(each):
                self._lose(each)
                self.fail(StorageFault.UNAVAILABLE, detail=f"object {each.name} cannot be read from the spool: {error}")
            return True
        try:
            key = f"{self.target.prefix}/{each.name}"
            await self._host.store.put(self.target.bucket_name, key, body, content_type=header.content_type)
        except StorageError as error:
            if self.last_fault is not error.fault:
                _log.warning(
                    "an object is not stored yet", bucket=self.target.bucket_name, key=key, detail=error.detail
                )
            self.last_fault = error.fault
            self._host.note_failed_attempt()
            return False
        self.last_fault, self.has_stored = None, True
        self._remove(each)
        return True

    def _remove(self, each: WaitingObject) -> bool:
        """Remove an object unless a later one has replaced it. Returns whether it was there."""
        if self._waiting.get(each.name) is not each:
            return False
        del self._waiting[each.name]
        self._forget(each)
        return True


def _is_playlist(name: str) -> bool:
    return name.endswith(PLAYLIST_SUFFIX)
