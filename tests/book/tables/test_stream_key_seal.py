"""Sealing stream keys: what is in the files of a book, and which secret opens it."""

import json
import re
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from stagebook.book.book_errors import BookDamagedError, BookRefusedError
from stagebook.book.changes import PutResource
from stagebook.book.sqlite.book_connection import has_sealed_keys, open_for_writing
from stagebook.book.sqlite.open_readers import open_reader
from stagebook.book.sqlite.schema import seal_document
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES, SealBrokenError, StreamKeySeal
from stagebook.stage.resources import IngestConfiguration, IngestCredential, IngestProtocol, StorageConfiguration
from tests.book.sample import ACCOUNT, SEAL, commit, open_book, public_key, put_resource

ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:ingest-configuration/abcdABCDefgh"
CONFIGURATION = IngestConfiguration(
    arn=ARN,
    account_id=ACCOUNT,
    created_ms=1,
    ingest_protocol=IngestProtocol.RTMPS,
    participant_id="p",
    stream_key="rt_first_key",
    redundant_credentials=(
        IngestCredential(participant_id="q", stream_key="rt_second_key"),
        IngestCredential(participant_id="r", stream_key="rt_third_key"),
    ),
)
OTHER_SECRET = bytes(SECRET_SIZE_BYTES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def _has_key(content: bytes) -> bool:
    return re.search(rb"rt_[a-z]+_key", content) is not None


def _content(path: Path) -> bytes:
    return path.read_bytes()


def test_a_sealed_configuration_can_be_opened_and_shows_no_key() -> None:
    sealed = SEAL.sealed(CONFIGURATION)
    assert "rt_" not in repr(sealed)
    assert SEAL.opened(sealed) == CONFIGURATION


def test_the_same_configuration_is_sealed_to_the_same_text() -> None:
    assert SEAL.sealed(CONFIGURATION) == SEAL.sealed(CONFIGURATION)


def test_other_resources_are_not_changed() -> None:
    storage = StorageConfiguration(arn=ARN, account_id=ACCOUNT, created_ms=1, bucket_name="bucket")
    assert SEAL.sealed(storage) is storage
    assert SEAL.opened(storage) is storage


@pytest.mark.parametrize(
    ("arn", "participant_id"), [(ARN + "x", "p"), (ARN, "q")], ids=["another configuration", "another participant"]
)
def test_a_sealed_key_opens_for_its_participant_only(arn: str, participant_id: str) -> None:
    sealed = SEAL.seal("rt_key", arn=ARN, participant_id="p")
    assert SEAL.open(sealed, arn=ARN, participant_id="p") == "rt_key"
    with pytest.raises(SealBrokenError):
        SEAL.open(sealed, arn=arn, participant_id=participant_id)


def test_another_secret_does_not_open_a_key() -> None:
    sealed = SEAL.seal("rt_key", arn=ARN, participant_id="p")
    with pytest.raises(SealBrokenError):
        StreamKeySeal(OTHER_SECRET).open(sealed, arn=ARN, participant_id="p")


@pytest.mark.parametrize("text", ["", "rt_key", "AAAA", "é", "A" * 100])
def test_a_text_that_is_no_sealed_key_is_not_opened(text: str) -> None:
    with pytest.raises(SealBrokenError):
        SEAL.open(text, arn=ARN, participant_id="p")


def test_a_secret_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        StreamKeySeal(bytes(32))


async def test_no_file_of_an_open_book_contains_a_stream_key(path: Path) -> None:
    book = open_book(path)
    await commit(book, PutResource(resource=CONFIGURATION))
    await commit(book, PutResource(resource=replace(CONFIGURATION, tags={"team": "blue"})))
    contents = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert b"abcdABCDefgh" in contents["book-wal"]
    assert not [name for name, content in contents.items() if _has_key(content)]
    assert book.get_resource(ARN) == replace(CONFIGURATION, tags={"team": "blue"})
    await book.close()
    assert not _has_key(_content(path))


async def test_a_reader_without_the_secret_reads_sealed_keys(path: Path) -> None:
    book = open_book(path)
    await commit(book, PutResource(resource=CONFIGURATION))
    reader = open_reader(path)
    assert reader.get_resource(ARN) == SEAL.sealed(CONFIGURATION)
    reader.close_reading()
    await book.close()


async def test_a_book_with_keys_of_another_secret_is_refused_and_unchanged(path: Path) -> None:
    book = open_book(path)
    await commit(book, PutResource(resource=CONFIGURATION))
    await book.close()
    before = _content(path)
    with pytest.raises(BookRefusedError, match=r"another secret.*same backup"):
        SqliteBook.open(path, read_secret=lambda *, may_generate: OTHER_SECRET)  # noqa: ARG005 - another secret
    assert _content(path) == before


async def test_a_secret_may_be_generated_until_the_book_has_sealed_keys(path: Path) -> None:
    asked: list[bool] = []

    def read_secret(*, may_generate: bool) -> bytes:
        asked.append(may_generate)
        return OTHER_SECRET

    for change in (put_resource(), PutResource(resource=CONFIGURATION), put_resource()):
        book = SqliteBook.open(path, read_secret=read_secret)
        await commit(book, change)
        await book.close()

    # The second start finds a public key, which needs no secret; the third one finds a stream key.
    assert asked == [True, True, False]


async def test_a_book_without_its_ingest_configurations_takes_a_new_secret(path: Path) -> None:
    """The way out that docs/operating.md describes for a lost secret."""
    book = open_book(path)
    await commit(book, PutResource(resource=CONFIGURATION), put_resource())
    await book.close()
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM resource WHERE resource_type = 'ingest-configuration'")
    connection.close()
    assert not has_sealed_keys(path)


def test_what_is_no_book_is_refused_before_a_secret_is_read(path: Path) -> None:
    path.write_text("plain text " * 1_000)
    with pytest.raises(BookRefusedError, match="not a SQLite database"):
        has_sealed_keys(path)


async def test_a_damaged_key_in_a_row_is_damage_of_the_book(path: Path) -> None:
    second = replace(CONFIGURATION, arn=ARN + "2")
    book = open_book(path)
    await commit(book, PutResource(resource=CONFIGURATION), PutResource(resource=second))
    await book.close()
    connection = open_for_writing(path, seal=SEAL)
    connection.execute("UPDATE resource SET value = replace(value, '\"p\"', '\"z\"') WHERE arn = ?", (second.arn,))
    connection.close()
    book = open_book(path)
    assert book.get_resource(ARN) == CONFIGURATION
    with pytest.raises(BookDamagedError, match="is damaged"):
        book.get_resource(second.arn)
    await book.close()


@pytest.mark.parametrize("document", ["", "[]", "{}", json.dumps({"arn": ARN, "stream_key": 1, "participant_id": "p"})])
def test_a_row_that_no_version_wrote_stops_the_migration(document: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        seal_document(document, SEAL)


def test_a_public_key_needs_no_seal() -> None:
    assert SEAL.sealed(public_key()) == public_key()
