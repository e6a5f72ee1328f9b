"""The store of recordings: whether its folder can be written, or whether the buckets in use can be reached.

The buckets are those of the storage configurations in the book. Of each it is asked whether it exists and lets these
credentials in; nothing is written.
"""

import asyncio
import os
from collections.abc import Iterator

import msgspec

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.folder_checks import is_visible
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.resources import StorageConfiguration
from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.storage_settings import S3Storage
from stagebook.storage.stores import open_store

CHECK = "storage"
MAX_BUCKETS = 20
TIMEOUT_SECONDS = 5.0

_REMEDIES = {
    StorageFault.BUCKET_NOT_FOUND: "create the bucket, or correct storage_s3_endpoint and storage_s3_region",
    StorageFault.ACCESS_DENIED: "correct the credentials, or allow them s3:PutObject for the bucket",
    StorageFault.UNAVAILABLE: "check storage_s3_endpoint, storage_s3_region and the network",
}


class StorageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where recordings go: a folder and whether it can be written, or S3 with what each bucket has answered."""

    subject: str
    is_folder: bool
    is_writable: bool = True
    failures: dict[str, StorageError | None] = {}
    """By the name of the bucket; None: it can be used."""


def read_storage_facts(settings: Settings, folder: DataFolder) -> StorageFacts:
    """Look at the folder, or ask the S3 server. Takes up to 5 s for each bucket if it does not answer."""
    path = folder.recordings_path
    storage = settings.object_storage(path)
    if not isinstance(storage, S3Storage):
        existing = next(each for each in (path, *path.parents) if is_visible(each))
        is_writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
        return StorageFacts(subject=str(path), is_folder=True, is_writable=is_writable)
    limited = msgspec.structs.replace(storage, timeout_seconds=TIMEOUT_SECONDS)
    subject = storage.endpoint_url or f"S3 in {storage.region}"
    return StorageFacts(subject=subject, is_folder=False, failures=asyncio.run(_ask(limited, _buckets(folder))))


def _buckets(folder: DataFolder) -> list[str]:
    """Return the names of the buckets that storage configurations name."""
    if not is_visible(folder.book_path):
        return []
    try:
        with HistoryFiles(folder.book_path) as files:
            page = files.book.list_resources_of_type("storage-configuration", after=None, limit=MAX_BUCKETS)
    except (BookRefusedError, BookFailedError):
        return []  # The check of the book tells why.
    return sorted({each.bucket_name for each in page.items if isinstance(each, StorageConfiguration)})


async def _ask(storage: S3Storage, bucket_names: list[str]) -> dict[str, StorageError | None]:
    store = open_store(storage)
    failures: dict[str, StorageError | None] = {}
    for name in bucket_names:
        try:
            await store.check_bucket(name)
            failures[name] = None
        except StorageError as error:
            failures[name] = error
    return failures


def judge_storage(facts: StorageFacts) -> Iterator[Finding]:
    """Yield the findings about the store."""
    if not facts.is_writable:
        yield _finding(
            facts.subject,
            Severity.ERROR,
            "this user cannot write to it",
            "every recording fails",
            "let the folder belong to the user of the server, with mode 0700",
        )
    elif facts.is_folder or not facts.failures:
        found = "a local folder, with one for each bucket" if facts.is_folder else "no storage configuration yet"
        yield _finding(facts.subject, Severity.OK, found)
    for name, error in facts.failures.items():
        if error is None:
            yield _finding(f"bucket {name}", Severity.OK, "can be reached")
        else:
            meaning = f"recordings into this bucket fail with {error.fault}"
            yield _finding(f"bucket {name}", Severity.ERROR, error.detail, meaning, _REMEDIES[error.fault])


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
