"""The file that a command writes: complete under its name, or not there."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from stagebook.cli.exit_codes import CommandFailedError

STANDARD_OUTPUT = "-"


@contextmanager
def open_output(name: str) -> Iterator[IO[bytes]]:
    """Yield a binary file to write: standard output for `-`, else a file that gets its name when it is complete.

    Until then it has a temporary name that ends in `.part`, in the same folder. It is removed if the context fails. A
    former file of this name is replaced; a device or a named pipe is written directly. Only the user can read a new
    file. Raises CommandFailedError if it cannot be written.
    """
    if name == STANDARD_OUTPUT:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with path.open("wb") as device:
                yield device
            return
        with _replacing(path.resolve()) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandFailedError(f"{name} cannot be written: {error.strerror}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
