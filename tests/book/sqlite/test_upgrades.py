"""Books of every earlier version, as scripts: a start upgrades them and loses nothing.

The scripts were made by those versions. A new migration needs a script of the version before it.
"""

from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.sqlite.book_connection import open_for_reading, open_for_writing
from stagebook.book.sqlite.schema import MIGRATIONS, REWRITTEN_VERSION, SEALED_VERSION
from stagebook.stage.events import EventName
from stagebook.stage.resources import IngestConfiguration, ParticipantRecord
from tests.book.golden_values import EXCHANGE, PARTICIPANT, REPLICATION, RESOURCES, STAGE
from tests.book.sample import (
    ACCOUNT,
    ARN,
    KEY_ARN,
    OTHER_ARN,
    OTHER_SESSION,
    SEAL,
    SESSION,
    append,
    commit,
    open_book,
    public_key,
    put_replica,
    put_resource,
    replica,
)

SCRIPTS = {int(path.stem.removeprefix("version_")): path for path in Path(__file__).parent.glob("version_*.sql")}
GOLDEN_SESSION = "st-goldengolden0"
INGEST_CONFIGURATION = next(each for each in RESOURCES if isinstance(each, IngestConfiguration))
KEYS = [INGEST_CONFIGURATION.stream_key, *(each.stream_key for each in INGEST_CONFIGURATION.redundant_credentials)]

each_version = pytest.mark.parametrize("version", SCRIPTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def make_book(path: Path, *, version: int) -> None:
    """Write a book as this version made it."""
    connection = apsw.Connection(str(path))
    connection.execute(SCRIPTS[version].read_text(encoding="utf-8"))
    connection.close()


def tables(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    """Return the names and definitions of all tables, indexes and triggers."""
    return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_every_earlier_version_has_a_script() -> None:
    # A book is of version 3 only between two steps of an upgrade.
    assert set(SCRIPTS) == set(range(1, len(MIGRATIONS))) - {SEALED_VERSION}


@each_version
def test_the_tables_of_a_released_version_do_not_change(tmp_path: Path, version: int) -> None:
    make_book(tmp_path / "released", version=version)
    released = apsw.Connection(str(tmp_path / "released"))
    made = open_for_writing(tmp_path / "made", seal=SEAL, migrations=MIGRATIONS[:version])
    assert tables(made) == tables(released)
    made.close()
    released.close()


@each_version
def test_an_upgraded_book_has_the_tables_of_a_new_one(tmp_path: Path, version: int) -> None:
    make_book(tmp_path / "older", version=version)
    upgraded = open_for_writing(tmp_path / "older", seal=SEAL)
    made = open_for_writing(tmp_path / "made", seal=SEAL)
    assert upgraded.pragma("user_version") == len(MIGRATIONS)
    assert tables(upgraded) == tables(made)
    upgraded.close()
    made.close()


@each_version
def test_a_reader_refuses_an_older_book_and_does_not_change_it(path: Path, version: int) -> None:
    make_book(path, version=version)
    before = path.read_bytes()
    with pytest.raises(BookRefusedError, match="start the server once"):
        open_for_reading(path)
    assert path.read_bytes() == before


@each_version
async def test_an_upgraded_book_can_be_appended_to(path: Path, version: int) -> None:
    make_book(path, version=version)
    book = open_book(path)
    participant = book.get_participant(ARN, SESSION, "p")
    assert participant is not None
    assert (participant.user_id, participant.attributes) == ("ann", {"role": "host"})
    assert [one.event.name for one in book.list_events(OTHER_ARN, OTHER_SESSION, "q")] == [
        EventName.JOINED,
        EventName.LEFT,
    ]
    assert book.is_revoked(ARN, "out")
    (sequence,) = await commit(book, append("p", EventName.PUBLISH_STOPPED), put_resource(), put_replica())
    assert [one.event.name for one in book.list_events(ARN, SESSION, "p")][1:] == [
        EventName.PUBLISH_STARTED,
        EventName.PUBLISH_STOPPED,
    ]
    assert sequence == book.last_sequence() > 1782579200005242884
    assert book.get_resource(KEY_ARN) == public_key()
    assert book.list_replicas(ARN, "p", after=None, limit=9).items == [replica()]
    await book.close()


@each_version
async def test_an_upgraded_book_keeps_every_member_of_its_rows(path: Path, version: int) -> None:
    make_book(path, version=version)
    book = open_book(path)
    stage = book.get_stage(STAGE.arn)
    assert stage is not None
    assert (stage.name, stage.tags, stage.recording) == (STAGE.name, STAGE.tags, STAGE.recording)
    assert book.get_participant(STAGE.arn, GOLDEN_SESSION, "p") == PARTICIPANT
    assert book.get_participant(STAGE.arn, GOLDEN_SESSION, "q") == ParticipantRecord(participant_id="q")
    assert [one.event for one in book.list_events(STAGE.arn, GOLDEN_SESSION, "p")] == [REPLICATION, EXCHANGE]
    await book.close()


@each_version
async def test_what_was_open_is_known_after_the_upgrade(path: Path, version: int) -> None:
    make_book(path, version=version)
    book = open_book(path)
    (participant,) = book.list_open_participants(ARN, SESSION, after=None, limit=9).items
    assert participant.record.participant_id == "p"
    assert [one.event.name for one in participant.events] == [EventName.JOINED, EventName.PUBLISH_STARTED]
    (replicated,) = book.list_open_participants(STAGE.arn, GOLDEN_SESSION, after=None, limit=9).items
    assert [one.event for one in replicated.events] == [REPLICATION]
    assert book.list_open_participants(OTHER_ARN, OTHER_SESSION, after=None, limit=9).items == []
    await book.close()


@pytest.mark.parametrize("version", [version for version in SCRIPTS if version > 1])
async def test_a_book_keeps_its_resources(path: Path, version: int) -> None:
    make_book(path, version=version)
    book = open_book(path)
    assert [book.get_resource(resource.arn) for resource in RESOURCES] == RESOURCES
    assert [one.destination_stage_arn for one in book.list_active_replicas()] == [ARN]
    assert book.is_connection_token_revoked(ACCOUNT, "token")
    await book.close()


def test_the_upgrade_leaves_no_stream_key_in_clear(path: Path) -> None:
    """Also not in the free space of the file, where an earlier change of a row can have left one, or in the log."""
    make_book(path, version=2)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("UPDATE resource SET value = replace(value, 'blue', 'a longer tag') WHERE resource_key = 2")
    connection.execute("UPDATE resource SET value = replace(value, 'a longer tag', 'x') WHERE resource_key = 2")
    assert all(_contains(path.parent, key) for key in KEYS)

    upgraded = open_for_writing(path, seal=SEAL)

    assert not any(_contains(path.parent, key) for key in KEYS)
    upgraded.close()
    connection.close()


def test_an_upgrade_that_was_interrupted_before_the_rewrite_is_completed(path: Path) -> None:
    make_book(path, version=2)
    connection = open_for_writing(path, seal=SEAL, migrations=MIGRATIONS[: REWRITTEN_VERSION - 1])
    connection.execute("PRAGMA secure_delete = OFF").fetchall()  # as that version had it
    connection.execute("INSERT INTO stage VALUES (9, ?, '', 'rt_key', 0, '{}', '{}', NULL)", (OTHER_ARN + "9",))
    connection.execute("DELETE FROM stage WHERE stage_key = 9")
    connection.close()
    assert _contains(path.parent, "rt_key")

    open_for_writing(path, seal=SEAL).close()

    assert not _contains(path.parent, "rt_key")


def _contains(folder: Path, text: str) -> bool:
    return any(text.encode() in file.read_bytes() for file in folder.iterdir())
