"""What a composition process that was lost has left in its spool: what it says, its bounds, and its completion."""

import asyncio
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from stagebook.media.composition.processes.composition_messages import ComposingSetup
from stagebook.media.recording.processes.upload_recovery import recover_uploads
from stagebook.media.recording.recorded_outcome import read_outcome
from stagebook.storage.spool.spool_lock import SpoolLock
from stagebook.storage.spool.upload_spool import UploadSpool
from stagebook.storage.stores import open_store

COMPLETE_SECONDS: Final = 20.0
LOCK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)


def read_complete_outputs(spool: Path) -> list[str]:
    """Return the ids of the destinations whose journals in the spool of a composition say that they are complete.
    Blocks."""
    if not spool.is_dir():
        return []
    outcomes = {folder.name: read_outcome(folder) for folder in spool.iterdir() if folder.is_dir()}
    return [name for name, outcome in outcomes.items() if outcome is not None and outcome.is_complete]


def bounded_leftovers(spools: Iterable[Path], *, max_bytes: int) -> list[Path]:
    """Delete the oldest spools above `max_bytes` of all together, but never the newest. Returns the others, oldest
    first. Blocks. Raises OSError."""
    found = sorted(
        ((path.stat().st_mtime_ns, path, _size_bytes(path)) for path in spools if path.is_dir()), reverse=True
    )
    kept: list[Path] = []
    total_bytes = 0
    for _, path, size_bytes in found:
        total_bytes += size_bytes
        if not kept or total_bytes <= max_bytes:
            kept.append(path)
        else:
            _abandon(path, size_bytes)
    return kept[::-1]


def _abandon(spool: Path, size_bytes: int) -> None:
    with suppress(OSError):  # An earlier process still uses it.
        lock = SpoolLock.take(spool, timeout_seconds=0)
        _log.error("objects are deleted and not stored: the spool is full", composition=spool.name, bytes=size_bytes)
        shutil.rmtree(spool, ignore_errors=True)
        lock.release()


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def complete_leftover(folder: Path, setup: ComposingSetup) -> int:
    """Close the interrupted outputs of one composition, and upload what waits. What the store does not take within
    COMPLETE_SECONDS stays on disk for the next time, and at most for `max_left_seconds`. Returns the number of outputs
    that were deleted because they are older."""
    spool = UploadSpool(
        folder, open_store(setup.storage), max_bytes=setup.spool_bytes, max_left_seconds=setup.max_left_seconds
    )
    try:
        await spool.lock(timeout_seconds=LOCK_SECONDS)
        await recover_uploads(spool, ended_ms=time.time_ns() // 1_000_000)
        async with asyncio.timeout(COMPLETE_SECONDS):
            # The folders of complete uploads are removed.
            while not _is_empty(folder):  # noqa: ASYNC110 - an upload has no event for it
                await asyncio.sleep(_POLL_SECONDS)
    except (OSError, TimeoutError) as error:
        _log.warning(
            "objects of a composition that has ended are not stored yet",
            folder=folder.name,
            detail=type(error).__name__,
        )
    finally:
        await spool.stop()
    _remove_empty(folder)
    return spool.abandoned_uploads


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # Something waits.
        folder.rmdir()
