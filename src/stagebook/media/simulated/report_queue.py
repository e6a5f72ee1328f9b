"""Reports that need I/O first, in the order in which they were asked for; and the metadata that they write."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from stagebook.media.recording.recording_metadata import JSON_TYPE
from stagebook.storage.object_store import ObjectStore, StorageError, StorageFault

_log = structlog.get_logger(__name__)


class ReportQueue:
    """Steps that run one after another on the event loop."""

    def __init__(self) -> None:
        self._last: asyncio.Task[None] | None = None
        """The newest step. It ends after all the others."""

    def then(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step after those before it."""
        before = self._last

        async def run() -> None:
            if before is not None:
                await asyncio.wait([before])
            await step

        self._last = asyncio.create_task(run())

    async def settled(self) -> bool:
        """Wait until no step is left. Returns whether there was one to wait for."""
        was_busy = False
        while self._last is not None and not self._last.done():
            was_busy = True
            await asyncio.wait([self._last])
        return was_busy


async def put_metadata(store: ObjectStore, bucket_name: str, key: str, body: bytes) -> StorageFault | None:
    """Write a JSON object; return why the store did not take it, or None."""
    try:
        await store.put(bucket_name, key, body, content_type=JSON_TYPE)
    except StorageError as error:
        _log.warning("the metadata of a recording cannot be written", bucket=bucket_name, why=error.detail)
        return error.fault
    return None
