"""What the system gives the server: disk space, open files, the folder of temporary files, cores."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.folder_checks import is_visible
from stagebook.server.lifecycle import OPEN_FILES_LIMIT

CHECK = "resources"
LOW_DISK_BYTES = 1 << 30
FULL_DISK_BYTES = 100 << 20
TEMPORARY_PATH_LENGTH = 65
"""A socket's path has at most 107 characters (unix(7)); the server adds up to 42 to the folder of temporary files."""


class ResourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`free_bytes` is the space of the data folder's disk. `open_files` is the hard limit, None without one."""

    disk: Path
    free_bytes: int
    open_files: int | None
    wanted_open_files: int
    temporary_folder: Path
    is_temporary_folder_writable: bool
    cores: int
    media_processes: int


def read_resource_facts(settings: Settings) -> ResourceFacts:
    """Read what the system gives this process."""
    path = Path(settings.data).absolute()
    disk = next(each for each in (path, *path.parents) if is_visible(each))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    temporary = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    return ResourceFacts(
        disk=disk,
        free_bytes=shutil.disk_usage(disk).free,
        open_files=None if hard == resource.RLIM_INFINITY else hard,
        wanted_open_files=min(settings.connections_limit + settings.rtmp_connections_limit, OPEN_FILES_LIMIT),
        temporary_folder=temporary,
        is_temporary_folder_writable=is_visible(temporary) and os.access(temporary, os.W_OK | os.X_OK),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        media_processes=settings.media_processes,
    )


def judge_resources(facts: ResourceFacts) -> Iterator[Finding]:
    """Yield the findings about the system's resources."""
    yield _judge_disk(facts)
    yield _judge_open_files(facts)
    if not facts.is_temporary_folder_writable or len(str(facts.temporary_folder)) > TEMPORARY_PATH_LENGTH:
        problem = (
            f"has more than {TEMPORARY_PATH_LENGTH} characters"
            if facts.is_temporary_folder_writable
            else "cannot be written to"
        )
        yield _finding(
            "temporary files",
            Severity.ERROR,
            f"{facts.temporary_folder} {problem}",
            "the server does not start: its processes have sockets there",
            "set TMPDIR to a short path of a folder that this user can write to",
        )
    else:
        yield _finding("temporary files", Severity.OK, str(facts.temporary_folder))
    if facts.media_processes > facts.cores:
        yield _finding(
            "cores",
            Severity.WARNING,
            f"{facts.cores} for {facts.media_processes} media processes",
            "they take turns, which delays media",
            "set media_processes to the number of cores that media may use",
        )
    else:
        yield _finding("cores", Severity.OK, str(facts.cores))


def _judge_disk(facts: ResourceFacts) -> Finding:
    found = f"{facts.free_bytes / (1 << 30):,.1f} GiB free at {facts.disk}"
    meaning = "a server that cannot write its book stops"
    remedy = "free disk space, or set retention_days (docs/watch.md, Retention)"
    if facts.free_bytes < FULL_DISK_BYTES:
        return _finding("disk space", Severity.ERROR, found, meaning, remedy)
    if facts.free_bytes < LOW_DISK_BYTES:
        return _finding("disk space", Severity.WARNING, found, meaning, remedy)
    return _finding("disk space", Severity.OK, found)


def _judge_open_files(facts: ResourceFacts) -> Finding:
    found = "no limit" if facts.open_files is None else f"at most {facts.open_files:,}"
    if facts.open_files is not None and facts.open_files < facts.wanted_open_files:
        return _finding(
            "open files",
            Severity.WARNING,
            found,
            f"connections above it fail, and the settings allow {facts.wanted_open_files:,}",
            "raise the hard limit: LimitNOFILE=65536 of systemd, --ulimit nofile=65536 of a container, `ulimit -Hn`; or"
            " lower connections_limit",
        )
    return _finding("open files", Severity.OK, found)


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
