"""The files of a spool: what must not be lost until the store has it.

    <spool>/<upload id>/target.json        the bucket and the prefix
    <spool>/<upload id>/journal            what the recorder needs to close an interrupted recording
    <spool>/<upload id>/0000000017         object 17, which waits: a line of JSON with its name, then its body

An object's file is complete or missing, also after `kill -9`. The numbers are the order of the objects. A file is
removed when the store has its object, or when a later object of the same name is on disk.

What a record of the journal says is true, also after a power failure: the objects that were put before it, and that
still wait, are written and synced before it is. Objects without a later record, such as a playlist, are not synced:
the journal is enough to make them again. A record costs one fsync for each such object (the segment, as a rule), one
for the folder and one for the journal, and no byte more.

The functions here block.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from stagebook.storage.folder_store import FILE_MODE, TEMPORARY_SUFFIX, make_folders, sync, write_file

TARGET_NAME: Final = "target.json"
JOURNAL_NAME: Final = "journal"
MAX_HEADER_BYTES: Final = 8_192

_log = structlog.get_logger(__name__)


class UploadTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where the objects of an upload go."""

    bucket_name: str
    prefix: str
    """Without a slash at its end."""


class ObjectHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of an object's file."""

    name: str
    content_type: str


class WaitingObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object on disk."""

    number: int
    name: str
    size_bytes: int


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that an earlier process has left."""

    upload_id: str
    target: UploadTarget
    journal: bytes
    waiting: tuple[WaitingObject, ...]
    changed_at: float
    """When the newest object was written, in seconds since the epoch."""


def create(folder: Path, target: UploadTarget) -> None:
    """Make the folder of an upload; one that exists is emptied. Raises OSError."""
    remove(folder)
    make_folders(folder)
    write_file(folder / TARGET_NAME, msgspec.json.encode(target))
    sync(folder / TARGET_NAME)
    sync(folder)


def append_record(folder: Path, record: bytes, *, objects: Iterable[int]) -> None:
    """Append to the journal of an upload, behind the objects with these numbers. Raises OSError."""
    for number in objects:
        with contextlib.suppress(FileNotFoundError):  # The store has it, or a later one has replaced it.
            sync(object_path(folder, number))
    descriptor = os.open(folder / JOURNAL_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    try:
        # The names of the objects, and that of a new journal.
        sync(folder)
        with open(descriptor, "ab", buffering=0, closefd=False) as journal:
            journal.write(record)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove the folder of an upload, as far as the system lets."""
    shutil.rmtree(folder, ignore_errors=True)


def object_path(folder: Path, number: int) -> Path:
    """Return the file of an object."""
    return folder / f"{number:010d}"


def write_object(folder: Path, number: int, header: ObjectHeader, body: bytes) -> None:
    """Write an object. Raises OSError."""
    write_file(object_path(folder, number), msgspec.json.encode(header) + b"\n" + body)


def read_object(folder: Path, number: int) -> tuple[ObjectHeader, bytes]:
    """Return an object. Raises OSError, or ValueError for a file that is none."""
    line, _, body = object_path(folder, number).read_bytes().partition(b"\n")
    return msgspec.json.decode(line, type=ObjectHeader), body


def read_leftovers(spool: Path) -> list[Leftover]:
    """Return the uploads of an earlier process, oldest first by their last change. Raises OSError.

    Folders without a complete target are removed: nothing was put into them. A folder that cannot be read stays, and is
    left out: it must not keep the others from their store.
    """
    if not spool.is_dir():
        return []
    found = []
    for folder in sorted((path for path in spool.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns):
        try:
            found.append(_read_leftover(folder))
        except (FileNotFoundError, msgspec.DecodeError):
            remove(folder)
        except OSError as error:
            _log.error("a folder of the spool cannot be read", upload=folder.name, detail=error.strerror)
    return found


def _read_leftover(folder: Path) -> Leftover:
    """Raises FileNotFoundError or msgspec.DecodeError without a complete target, and another OSError for a folder that
    cannot be read."""
    target = msgspec.json.decode((folder / TARGET_NAME).read_bytes(), type=UploadTarget)
    journal = folder / JOURNAL_NAME
    content = journal.read_bytes() if journal.exists() else b""
    waiting = tuple(_waiting_objects(folder))
    newest = object_path(folder, waiting[-1].number) if waiting else folder / TARGET_NAME
    return Leftover(
        upload_id=folder.name,
        target=target,
        journal=content,
        waiting=waiting,
        changed_at=newest.stat().st_mtime,
    )


def _waiting_objects(folder: Path) -> list[WaitingObject]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(TEMPORARY_SUFFIX):
            path.unlink()
        elif path.name.isdecimal():
            try:
                with path.open("rb") as file:
                    header = msgspec.json.decode(file.readline(MAX_HEADER_BYTES), type=ObjectHeader)
            except msgspec.DecodeError:
                # After a power failure the file can be empty.
                path.unlink()
                continue
            found.append(WaitingObject(number=int(path.name), name=header.name, size_bytes=path.stat().st_size))
    return found
