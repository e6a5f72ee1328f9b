"""A store that a test opens, closes and lets fail."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stagebook.storage.folder_store import FolderStore
from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.spool.spool_folder import ObjectHeader, write_object


class GatedStore:
    """A folder that can be made to fail or to hang, and remembers the order of what it stored."""

    def __init__(self, folder: Path) -> None:
        self.fault: StorageFault | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.stored: list[tuple[str, bytes]] = []
        self.attempts = 0
        self._inner = FolderStore(folder)

    async def check_bucket(self, bucket_name: str) -> None:  # noqa: ARG002 - all buckets are alike
        """As ObjectStore.check_bucket."""
        if self.fault is not None:
            raise StorageError(fault=self.fault, detail="told to fail")

    async def put(self, bucket_name: str, key: str, body: bytes, *, content_type: str) -> None:
        """As ObjectStore.put, when the gate is open."""
        self.attempts += 1
        await self.gate.wait()
        if self.fault is not None:
            raise StorageError(fault=self.fault, detail="told to fail")
        await self._inner.put(bucket_name, key, body, content_type=content_type)
        self.stored.append((key, body))


def fill_disk(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the disk of a spool have no space for objects with names that end so; others are smaller, and fit."""

    def write(folder: Path, number: int, header: ObjectHeader, body: bytes) -> None:
        if header.name.endswith(names):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_object(folder, number, header, body)

    monkeypatch.setattr("stagebook.storage.spool.upload.write_object", write)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - tasks and threads of the spool change it
            await asyncio.sleep(0.005)
