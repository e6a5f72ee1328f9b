"""Completes what a composition process that was lost has left in its spool."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from stagebook.media.composition.processes.composition_messages import ComposingSetup
from stagebook.media.recording.processes.upload_recovery import recover_uploads
from stagebook.storage.spool.upload_spool import UploadSpool
from stagebook.storage.stores import open_store

COMPLETE_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)


async def complete_leftover(folder: Path, setup: ComposingSetup) -> None:
    """Close the interrupted outputs of one composition, and upload what waits. What the store does not take within
    COMPLETE_SECONDS stays on disk for the next time."""
    spool = UploadSpool(folder, open_store(setup.storage), max_bytes=setup.spool_bytes)
    try:
        await recover_uploads(spool, ended_ms=time.time_ns() // 1_000_000)
        async with asyncio.timeout(COMPLETE_SECONDS):
            # The folders of complete uploads are removed.
            while not _is_empty(folder):  # noqa: ASYNC110 - an upload has no event for it
                await asyncio.sleep(_POLL_SECONDS)
    except (OSError, TimeoutError) as error:
        _log.warning("what a composition has left is not stored yet", folder=folder.name, detail=type(error).__name__)
    finally:
        await spool.stop()
    _remove_empty(folder)


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # Something waits.
        folder.rmdir()
