"""What waits on the disk for the store of recordings: how much, how long, and whether it can be read.

A recording that runs, or has just ended, has objects there for a moment. What is older waits for a store that is down
or refuses it.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.media.composition.processes.composition_messages import SPOOLS_NAME
from stagebook.media.recording.processes.recorder_messages import SPOOL_NAME

CHECK: Final = "storage"
OLD_SECONDS: Final = 3_600.0
MAX_FILES: Final = 100_000


class SpoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that wait, over all recordings and compositions."""

    subject: str
    recordings: int = 0
    size_bytes: int = 0
    oldest_seconds: float = 0.0
    """How long the oldest object has waited."""
    leftover_days: int
    is_readable: bool = True


def read_spool_facts(settings: Settings, folder: DataFolder) -> SpoolFacts:
    """Look at the spools. Reads no file, and no more than MAX_FILES names."""
    path, now = folder.recordings_path, time.time()
    days = settings.recording_leftover_days
    uploads: set[str] = set()
    size_bytes, oldest_seconds = 0, 0.0
    try:
        for number, entry in enumerate(_objects(path)):
            if number >= MAX_FILES:
                break
            status = entry.stat(follow_symlinks=False)
            uploads.add(os.path.dirname(entry.path))  # noqa: PTH120 - of a string
            size_bytes += status.st_size
            oldest_seconds = max(oldest_seconds, now - status.st_mtime)
    except PermissionError:
        return SpoolFacts(subject=str(path), leftover_days=days, is_readable=False)
    return SpoolFacts(
        subject=str(path),
        recordings=len(uploads),
        size_bytes=size_bytes,
        oldest_seconds=oldest_seconds,
        leftover_days=days,
    )


def _objects(path: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files of the objects that wait. Raises PermissionError."""
    for spool in (path / SPOOL_NAME, path / SPOOLS_NAME):
        yield from _objects_below(str(spool))


def _objects_below(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return  # It does not exist, or was removed meanwhile.
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _objects_below(entry.path)
        elif entry.name.isdecimal():
            yield entry


def judge_spools(facts: SpoolFacts) -> Iterator[Finding]:
    """Yield the finding about what waits."""
    subject = f"what waits for the store in {facts.subject}"
    if not facts.is_readable:
        yield Finding(
            check=CHECK,
            subject=subject,
            severity=Severity.WARNING,
            found="this user cannot read it",
            meaning="it is unknown whether recordings wait for the store",
            remedy="run this command as the user of the server",
        )
    elif facts.oldest_seconds < OLD_SECONDS:
        yield Finding(check=CHECK, subject=subject, severity=Severity.OK, found="nothing that is old")
    else:
        yield Finding(
            check=CHECK,
            subject=subject,
            severity=Severity.WARNING,
            found=f"{facts.size_bytes / 1e6:.1f} MB of {facts.recordings} recordings, the oldest for"
            f" {facts.oldest_seconds / 3_600:.0f} hours",
            meaning=f"the store does not take them; they are deleted after {facts.leftover_days} days"
            " (recording_leftover_days)",
            remedy="make the store accept them, or delete the folders there whose recordings are not wanted",
        )
