"""The checks of the store of recordings."""

import asyncio
from pathlib import Path

import pytest

from stagebook.book.changes import PutResource
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.storage_checks import StorageFacts, judge_storage, read_storage_facts
from stagebook.stage.resources import StorageConfiguration
from stagebook.storage.object_store import StorageError, StorageFault

FOLDER = StorageFacts(subject="/data/recordings", is_folder=True)
DENIED = StorageError(fault=StorageFault.ACCESS_DENIED, detail="denied")


@pytest.mark.parametrize(
    ("facts", "severities"),
    [
        (FOLDER, {"/data/recordings": Severity.OK}),
        (StorageFacts(subject="/data", is_folder=True, is_writable=False), {"/data": Severity.ERROR}),
        (StorageFacts(subject="S3", is_folder=False), {"S3": Severity.OK}),
        (
            StorageFacts(subject="S3", is_folder=False, failures={"a": None, "b": DENIED}),
            {"bucket a": Severity.OK, "bucket b": Severity.ERROR},
        ),
    ],
)
def test_each_state_is_judged(facts: StorageFacts, severities: dict[str, Severity]) -> None:
    assert {found.subject: found.severity for found in judge_storage(facts)} == severities


def test_a_folder_that_the_first_start_makes_is_fine(tmp_path: Path) -> None:
    facts = read_storage_facts(Settings(), DataFolder(tmp_path / "not" / "there"))
    assert (facts.is_folder, facts.is_writable) == (True, True)
    (tmp_path / "recordings").write_text("a file")
    assert not read_storage_facts(Settings(), DataFolder(tmp_path)).is_writable


def test_the_buckets_of_the_book_are_asked(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    arn = "arn:aws:ivs:us-west-2:123456789012:storage-configuration/abcdefghijkl"
    configuration = StorageConfiguration(arn=arn, account_id="123456789012", created_ms=1, bucket_name="in-use")

    async def write() -> None:
        book = SqliteBook.open(folder.book_path, read_secret=lambda **_: bytes(64))
        await book.submit([PutResource(resource=configuration)]).durable
        await book.close()

    asyncio.run(write())
    # Nobody listens on this port.
    settings = Settings(
        storage="s3",
        storage_s3_endpoint="http://127.0.0.1:9",
        storage_s3_access_key_id="a",
        storage_s3_secret_access_key="b",
    )
    facts = read_storage_facts(settings, folder)
    assert {name: error and error.fault for name, error in facts.failures.items()} == {
        "in-use": StorageFault.UNAVAILABLE
    }
