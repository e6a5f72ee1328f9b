"""The cache of row keys is bounded and reads missing entries from the file."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.sqlite.book_connection import open_for_writing
from stagebook.book.sqlite.sqlite_connection import SqliteConnection
from stagebook.book.tables import stored_row_keys
from stagebook.book.tables.row_keys import Undo
from stagebook.book.tables.stored_row_keys import StoredRowKeys
from tests.book.sample import ARN, OTHER_ARN, SEAL, SESSION


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_for_writing(tmp_path / "book", seal=SEAL)
    yield connection
    connection.close()


def _insert_stage_with_open_session(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO stage VALUES (7, ?, 'account', 'name', 0, '{}', '{}', NULL)", (ARN,))
    connection.execute("INSERT INTO session VALUES (9, 7, ?, 5, NULL)", (SESSION,))
    connection.execute("INSERT INTO participant VALUES (9, 1, 'p', '', 0, 0, NULL, NULL, NULL, NULL, NULL)")


def test_an_entry_that_is_not_cached_is_read_from_the_file(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    session = keys.open_session(ARN, SESSION)
    assert (session.session_key, session.start_ms, session.numbers) == (9, 5, {"p": 1})
    assert keys.stage(ARN).stage_key == 7


def test_an_ended_session_is_found_in_the_file_or_in_the_cache(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    keys.end_session(ARN, SESSION, [])
    assert keys.session_key(ARN, SESSION) == 9
    keys.start_session(ARN, "new", 0, [])
    keys.end_session(ARN, "new", [])
    assert keys.session_key(ARN, "new") == 10
    with pytest.raises(ChangeRefusedError, match="has no session"):
        keys.session_key(ARN, "other")


def test_new_keys_follow_the_largest_keys_in_the_file(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    assert keys.add_stage(OTHER_ARN, []).stage_key == 8
    _, session = keys.start_session(OTHER_ARN, SESSION, 0, [])
    assert session.session_key == 10


def test_stages_without_an_open_session_are_dropped_from_a_full_cache(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_row_keys, "MAXIMUM_IDLE_STAGES", 3)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    for number in range(4):
        keys.add_stage(f"{ARN}{number}", [])
    keys.start_session(f"{ARN}0", SESSION, 0, [])
    keys.drop_idle_stages()
    # None of these stages is in the file, so one that is found is cached.
    assert keys.find_stage(f"{ARN}0") is not None
    assert keys.find_stage(f"{ARN}1") is None


def test_a_participant_that_has_left_is_dropped_when_that_is_durable_and_found_again(
    connection: apsw.Connection,
) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    session = keys.open_session(ARN, SESSION)
    keys.note_connected(session, "p", is_connected=False)
    assert session.numbers == {"p": 1}
    keys.note_durable(1)
    assert session.numbers == {}
    assert keys.find_number(session, "p") == 1
    assert keys.find_number(session, "q") is None
    assert keys.number(session, "q", []) == 2


def test_a_participant_that_is_back_before_its_end_is_durable_stays_cached(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    session = keys.open_session(ARN, SESSION)
    keys.note_connected(session, "p", is_connected=False)
    keys.submitted += 1
    keys.note_connected(session, "p", is_connected=True)
    keys.submitted += 1
    keys.note_durable(1)
    assert session.numbers == {"p": 1}
    keys.note_connected(session, "p", is_connected=False)
    keys.note_durable(2)
    assert session.numbers == {"p": 1}
    keys.note_durable(3)
    assert session.numbers == {}


def test_a_refused_transaction_gives_its_numbers_back(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    session = keys.open_session(ARN, SESSION)
    undo: Undo = []
    assert [keys.number(session, each, undo) for each in ("q", "r", "q")] == [2, 3, 2]
    for step in reversed(undo):
        step()
    assert (session.numbers, session.last_number) == ({"p": 1}, 1)
    assert keys.number(session, "r", []) == 2


def test_only_connected_participants_of_an_open_session_are_read(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    connection.execute("INSERT INTO participant VALUES (9, 2, 'gone', '', 1, 0, NULL, NULL, NULL, NULL, NULL)")
    session = StoredRowKeys.of_one_writer(SqliteConnection(connection)).open_session(ARN, SESSION)
    assert (session.numbers, session.last_number) == ({"p": 1}, 2)


def test_the_key_of_a_new_session_is_dropped_when_it_is_durable(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    keys.end_session(ARN, SESSION, [])
    stage, session = keys.start_session(ARN, "new", 0, [])
    assert keys.any_session(ARN, SESSION).numbers
    keys.note_durable(1)
    assert (stage.session_keys, stage.ended) == ({}, {})
    assert keys.session_key(ARN, "new") == session.session_key
    undo: Undo = []
    keys.end_session(ARN, "new", undo)
    keys.start_session(ARN, "refused", 0, undo)
    for step in reversed(undo):
        step()
    assert not keys._dropping


def test_a_session_that_is_being_deleted_is_refused_and_its_id_is_not_given_to_another(
    connection: apsw.Connection,
) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    keys.end_session(ARN, SESSION, [])
    with keys.expiring([9]):
        with pytest.raises(ChangeRefusedError, match="has no session"):
            keys.session_key(ARN, SESSION)
        with pytest.raises(ChangeRefusedError, match="already had a session"):
            keys.start_session(ARN, SESSION, 0, [])
    assert keys.session_key(ARN, SESSION) == 9


def test_new_keys_follow_the_largest_deleted_ones(connection: apsw.Connection) -> None:
    connection.execute("UPDATE sequencer SET last_stage_key = 20, last_session_key = 30")
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    assert keys.add_stage(OTHER_ARN, []).stage_key == 21
    _, session = keys.start_session(OTHER_ARN, SESSION, 0, [])
    assert session.session_key == 31


def test_a_stage_that_is_forgotten_is_looked_up_again(connection: apsw.Connection) -> None:
    _insert_stage_with_open_session(connection)
    keys = StoredRowKeys.of_one_writer(SqliteConnection(connection))
    assert keys.find_stage(ARN) is not None
    connection.execute("DELETE FROM stage")
    keys.forget_stages([ARN, OTHER_ARN])
    assert keys.find_stage(ARN) is None
