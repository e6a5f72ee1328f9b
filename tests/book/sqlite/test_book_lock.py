"""The lock admits one writer per book, across processes and within one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.sqlite.book_lock import BookLock

HOLD = """
import sys
from pathlib import Path
from stagebook.book.sqlite.book_lock import BookLock
lock = BookLock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_lock_in_the_process_is_refused_until_release(tmp_path: Path) -> None:
    lock = BookLock.take(tmp_path / "book")
    with pytest.raises(BookRefusedError, match=f"by process {os.getpid()}"):
        BookLock.take(tmp_path / "book")
    lock.release()
    lock.release()
    BookLock.take(tmp_path / "book").release()


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "book")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BookRefusedError, match=f"by process {holder.pid}.*another data folder"):
            BookLock.take(tmp_path / "book")
        holder.kill()
        holder.wait()
    BookLock.take(tmp_path / "book").release()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BookRefusedError, match="must exist and be writable"):
        BookLock.take(tmp_path / "nowhere" / "book")
