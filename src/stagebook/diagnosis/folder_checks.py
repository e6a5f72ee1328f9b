"""The data folder: its owner, its modes and those of its files, and the file system below it.

`data_folder/folder_permissions.py` has the rules: what the start repairs and what it refuses.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stagebook.data_folder.folder_permissions import FILE_MODE, FOLDER_MODE, OTHERS_MASK, OTHERS_WRITE_MASK
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity

CHECK = "data folder"
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph", "glusterfs", "afs"}
)


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The owner and the mode of a file or folder. `is_secret` says that the start refuses it if others can read it."""

    path: Path
    owner_id: int
    mode: int
    is_folder: bool = False
    is_secret: bool = False


class FolderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The data folder as `user_id` sees it; `files` begins with the folder, and is empty if it does not exist.

    `is_writable` is about the folder, or about the one in which it would be created.
    """

    path: Path
    user_id: int
    is_writable: bool
    file_system: str
    files: tuple[FileFacts, ...] = ()


def read_folder_facts(folder: DataFolder) -> FolderFacts:
    """Read the owners and modes of the folder and of its files."""
    path = folder.path.absolute()
    existing = next(each for each in (path, *path.parents) if is_visible(each))
    return FolderFacts(
        path=path,
        user_id=os.geteuid(),
        is_writable=existing.is_dir() and os.access(existing, os.R_OK | os.W_OK | os.X_OK),
        file_system=file_system_of(existing),
        files=tuple(_file_facts(folder)) if existing == path else (),
    )


def is_visible(path: Path) -> bool:
    """Return whether this user can see that a path exists. `Path.exists` raises if the user may not look."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _file_facts(folder: DataFolder) -> Iterator[FileFacts]:
    """Yield the folder, then the files of the server in it. Other files, such as `lost+found`, do not matter to it."""
    secrets = folder.secret_paths
    for path in (folder.path, *folder.other_paths, *secrets):
        try:
            status = path.stat()
        except OSError:
            continue  # It does not exist, or this user may not look into the folder.
        yield FileFacts(
            path=path,
            owner_id=status.st_uid,
            mode=stat.S_IMODE(status.st_mode),
            is_folder=stat.S_ISDIR(status.st_mode),
            is_secret=path in secrets,
        )


def file_system_of(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system of a path, an empty text if the system does not list it (fstab(5))."""
    best, kind = -1, ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, target, found, *_ = line.split(" ")
        mounted = Path(target.replace("\\040", " "))
        if path.resolve().is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), found
    return kind


def judge_folder(facts: FolderFacts) -> Iterator[Finding]:
    """Yield the findings about the folder and its files."""
    if facts.file_system in NETWORK_FILE_SYSTEMS:
        yield _finding(
            facts.path,
            Severity.ERROR,
            f"it is on a network file system ({facts.file_system})",
            "SQLite's write-ahead log does not work there: the book can be damaged",
            "put the data folder on a local disk",
        )
    if not facts.is_writable:
        found = (
            "this user cannot write to it" if facts.files else "it does not exist and cannot be created by this user"
        )
        yield _finding(
            facts.path,
            Severity.ERROR,
            found,
            "the server does not start",
            "create it for the user of the server, with mode 0700, or name another folder with --data",
        )
    elif not facts.files:
        yield _finding(facts.path, Severity.OK, "does not exist; the first start creates it")
    owner_id = facts.files[0].owner_id if facts.files else facts.user_id
    if owner_id != facts.user_id:
        yield _finding(
            facts.path,
            Severity.NOTE if facts.user_id == 0 else Severity.ERROR,
            f"it belongs to user {owner_id}, and this is user {facts.user_id}",
            "only a server that its owner starts accepts it",
            f"run the server, and this command, as user {owner_id}",
        )
    wrong = [finding for file in facts.files if (finding := judge_file(file, owner_id=owner_id)) is not None]
    yield from wrong
    if facts.files and not wrong:
        yield _finding(facts.path, Severity.OK, f"{len(facts.files) - 1} files, all of user {owner_id} and private")


def judge_file(file: FileFacts, *, owner_id: int) -> Finding | None:
    """Return what is wrong with the owner or mode of a file, None if nothing is."""
    wanted = FOLDER_MODE if file.is_folder else FILE_MODE
    if file.owner_id != owner_id:
        return _finding(
            file.path,
            Severity.ERROR,
            f"it belongs to user {file.owner_id}",
            "the server does not start: another user may have replaced it",
            f"check the contents, then `chown {owner_id} {file.path}`",
        )
    if file.mode & OTHERS_WRITE_MASK:
        return _finding(
            file.path,
            Severity.ERROR,
            f"mode {file.mode:o}: other users can write to it",
            "the server does not start: another user may have changed it",
            f"check that nobody changed it, then `chmod {wanted:o} {file.path}`",
        )
    if file.mode & OTHERS_MASK and file.is_secret:
        return _finding(
            file.path,
            Severity.ERROR,
            f"mode {file.mode:o}: other users can read this secret",
            "the server does not start: the secret may be known",
            f"`chmod {wanted:o} {file.path}`; replace the secret if somebody may have read it",
        )
    if file.mode & OTHERS_MASK:
        return _finding(
            file.path,
            Severity.WARNING,
            f"mode {file.mode:o}: other users can read it",
            "a copy or another program, with its umask, left it so; it may show what the book holds",
            f"`chmod {wanted:o} {file.path}`; the next start does the same",
        )
    return None


def _finding(path: Path, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=str(path), severity=severity, found=found, meaning=meaning, remedy=remedy)
