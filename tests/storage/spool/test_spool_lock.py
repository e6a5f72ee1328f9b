"""Only one process uses a spool."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stagebook.storage.spool.spool_lock import SpoolLock, wait_for_spool
from stagebook.storage.spool.upload_spool import UploadSpool
from tests.storage.gated_store import GatedStore

HOLDER = """
import sys, pathlib
from stagebook.storage.spool.spool_lock import SpoolLock
lock = SpoolLock.take(pathlib.Path(sys.argv[1]), timeout_seconds=0)
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Start another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def test_a_spool_that_another_process_uses_is_refused_and_then_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with holder(folder) as other:
        spool = UploadSpool(folder, GatedStore(tmp_path / "store"), max_bytes=1_000)
        with pytest.raises(OSError, match="another process uses the spool") as busy:
            await spool.lock(timeout_seconds=0)
        assert busy.value.errno == errno.EBUSY
        assert not wait_for_spool(folder, timeout_seconds=0)
        # The kernel releases the lock, however the process ends.
        threading.Timer(0.1, other.kill).start()
        await spool.lock(timeout_seconds=20)
        await spool.stop()
    assert wait_for_spool(folder, timeout_seconds=0)


def test_a_spool_that_does_not_exist_is_free(tmp_path: Path) -> None:
    assert wait_for_spool(tmp_path / "none", timeout_seconds=0)
    assert not (tmp_path / "none").exists()


def test_a_folder_that_was_removed_is_locked_anew(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    first = SpoolLock.take(folder, timeout_seconds=0)
    folder.rmdir()
    second = SpoolLock.take(folder, timeout_seconds=0)
    assert folder.is_dir()
    first.release()
    second.release()
