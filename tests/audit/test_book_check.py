"""The check of a book finds each kind of damage, and names the rule and the place."""

# ruff: noqa: S608 - the statements that damage a book are put together from constants
import shutil
from pathlib import Path

import apsw
import msgspec
import pytest

from stagebook.audit.book_check import check_book
from stagebook.audit.book_rules import RULES, Violation
from stagebook.audit.index_check import check_index
from stagebook.book.changes import Change
from stagebook.history.history_files import SEARCH_INDEX_NAME, HistoryFiles
from stagebook.history.search import search_index
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState
from tests.audit.histories import audited, timed
from tests.audit.sound_book import require_sound, violations
from tests.book.sample import NOON_MS, append, commit, end_session, open_book, open_session, put, put_stage
from tests.cli.written_book import write_book, write_composition
from tests.manager.simulation.simulate import simulate

SEED = 0
CODE = {name.value: code for code, name in enumerate(EventName)}
ONE = "(session_key, participant_number, sequence) = (SELECT session_key, participant_number, sequence FROM event"


def one(name: str, more: str = "") -> str:
    """Return the condition of the newest event of a name."""
    return f"{ONE} WHERE name = {CODE[name]} {more} ORDER BY sequence DESC LIMIT 1)"


NEWEST_PARTICIPANT = (
    "(session_key, number) = (SELECT session_key, number FROM participant ORDER BY 1 DESC, 2 DESC LIMIT 1)"
)

DAMAGES = {
    "ids": "UPDATE session SET session_id = 'st-short' WHERE session_key = 1",
    "ids of a participant": f"UPDATE participant SET participant_id = 'a b' WHERE {NEWEST_PARTICIPANT}",
    "ids of an account": "UPDATE stage SET account_id = '1' WHERE stage_key = 1",
    "error-code": f"UPDATE event SET error_code = NULL WHERE {one('PUBLISH_ERROR')}",
    "error-code of another event": f"UPDATE event SET error_code = 1 WHERE {one('JOINED')}",
    "remote-participant": f"UPDATE event SET remote_participant_id = NULL WHERE {one('SUBSCRIBE_STOPPED')}",
    "remote-participant of another event": f"UPDATE event SET remote_participant_id = 'bob' WHERE {one('LEFT')}",
    "destination": f"UPDATE event SET extra = NULL WHERE {one('REPLICATION_STARTED')}",
    "tokens": f"UPDATE event SET extra = NULL WHERE {one('TOKEN_EXCHANGED')}",
    "sequence": f"""UPDATE event SET sequence = (
        SELECT max(sequence) FROM event AS other WHERE other.session_key < event.session_key) WHERE {one("JOINED")}""",
    "presence": f"DELETE FROM event WHERE {one('JOINED')}",
    "presence without LEFT": f"UPDATE event SET name = {CODE['JOINED']} WHERE {one('LEFT')}",
    "on-stage": f"DELETE FROM event WHERE name = {CODE['JOINED']}",
    "stopped-before-left": f"DELETE FROM event WHERE {one('PUBLISH_STOPPED')}",
    "publication": f"DELETE FROM event WHERE {one('PUBLISH_STARTED')}",
    "subscription": f"DELETE FROM event WHERE {one('SUBSCRIBE_STARTED')}",
    "replication": f"DELETE FROM event WHERE {one('REPLICATION_STARTED')}",
    "replica-mark": f"UPDATE event SET replica = 1 WHERE {one('LEFT', 'AND replica = 0')}",
    "session-times": "UPDATE session SET start_ms = start_ms + 1000000000 WHERE session_key = 1",
    "one-session": """UPDATE session SET end_ms = end_ms + 1000000000 WHERE session_key = (
        SELECT min(session_key) FROM session GROUP BY stage_key HAVING count(*) > 1 LIMIT 1)""",
    "closed": f"DELETE FROM event WHERE {one('LEFT')}",
    "row": f"UPDATE participant SET published = 1 - published WHERE {NEWEST_PARTICIPANT}",
    "row's state": f"UPDATE participant SET state = 0 WHERE {NEWEST_PARTICIPANT}",
    "row's firstJoinTime": "UPDATE participant SET first_join_ms = 1 WHERE first_join_ms IS NOT NULL",
    "replication-ends": f"DELETE FROM event WHERE {one('REPLICATION_STOPPED')}",
    "replication-ends of a row": "UPDATE replica SET state = 0",
    "references to a stage": "DELETE FROM stage WHERE stage_key = 1",
    "references to a session": "DELETE FROM session WHERE session_key = 1",
    "references to a participant": f"DELETE FROM participant WHERE {NEWEST_PARTICIPANT}",
    "references of a replica": "UPDATE replica SET destination_session_key = 99999",
    "references of a revocation": "INSERT INTO revocation VALUES (99999, 'bob', 1, 'why')",
    "values": f"UPDATE event SET name = 99 WHERE {one('LEFT')}",
    "values of a participant": f"UPDATE participant SET rest = '[' WHERE {NEWEST_PARTICIPANT}",
    "values of a stage": "UPDATE stage SET tags = '[' WHERE stage_key = 1",
    "values of a resource": "INSERT INTO resource (arn, account_id, resource_type, value) VALUES ('a', '1', 'b', '{')",
    "values of another resource": "UPDATE resource SET account_id = '999999999999'",
    "session-times of a negative sequence number": f"UPDATE event SET sequence = -1 WHERE {one('JOINED')}",
    "last-sequence that is missing": "DELETE FROM sequencer",
    "last-sequence": """UPDATE sequencer SET last_sequence = 1; UPDATE session SET end_ms = end_ms + 1000000000
        WHERE session_key = (SELECT max(session_key) FROM session WHERE end_ms IS NOT NULL)""",
    "recording-details": f"UPDATE event SET name = {CODE['RECORDING_STARTED']} WHERE {one('LEFT')}",
    "recordings": f"""INSERT INTO event SELECT session_key, participant_number, sequence + 1,
        {CODE["RECORDING_ENDED"]}, NULL, NULL, 0, 0, NULL, CAST(
            '{{"recording":{{"bucket_name":"bucket","duration_ms":1,"prefix":"stage/' || (
                SELECT session_id FROM session WHERE session.session_key = event.session_key
            ) || '/p/0"}}}}' AS BLOB) FROM event WHERE {one("LEFT")}""",
    "open-recordings": f"UPDATE participant SET recording_state = 1 WHERE {NEWEST_PARTICIPANT}",
    "open-events": "INSERT INTO open_event SELECT session_key, number, 4, 'nobody', 1, 1 FROM participant",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book that the simulation has made, in which everything happens."""
    folder = tmp_path_factory.mktemp("sound")
    simulate(SEED, folder)
    return folder / "book.sqlite3"


@pytest.fixture
def book(sound: Path, tmp_path: Path) -> Path:
    """A copy of the book, to be damaged."""
    return Path(shutil.copy(sound, tmp_path))


def damage(book: Path, statement: str) -> None:
    """Run a statement on a book; it must change something."""
    connection = apsw.Connection(str(book))
    before = connection.total_changes()
    connection.execute(statement).fetchall()
    assert connection.total_changes() > before, "the damage did not change the book"
    connection.close()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_found_and_named(book: Path, name: str) -> None:
    damage(book, DAMAGES[name])
    found = violations(book)
    assert name.split()[0].removesuffix("'s") in {violation.rule for violation in found}
    assert all(violation.detail for violation in found)


def test_a_rule_of_each_kind_of_a_book_has_a_damage() -> None:
    of_sources = {"form", "same-event", "newer", "whole-session", "event-id", "event-time"}
    elsewhere = {"database", "search-index", "viewers", "capabilities", "composition", "composition-row"}
    assert {name.split()[0].removesuffix("'s") for name in DAMAGES} == {
        rule.name for rule in RULES
    } - of_sources - elsewhere


OF_A_VIEWER = {
    "viewers": f"UPDATE event SET sequence = sequence - (3 << 20) WHERE name = {CODE['PUBLISH_STOPPED']}",
    "capabilities": f"""UPDATE event SET extra = CAST(replace(CAST(extra AS TEXT), '["SUBSCRIBE"]', '[]') AS BLOB)
        WHERE name = {CODE["TOKEN_EXCHANGED"]}""",
}


@pytest.mark.parametrize("name", OF_A_VIEWER)
async def test_a_damage_of_a_viewer_is_found_and_named(tmp_path: Path, name: str) -> None:
    """Ann publishes from 1 to 9 ms, and Bob watches her from 2 to 8 ms, with a new token at 3 ms."""
    path = tmp_path / "book.sqlite3"
    book = open_book(path)
    await commit(book, put_stage(), open_session())
    told = {
        "ann": ["JOINED", "1/PUBLISH_STARTED", "9/PUBLISH_STOPPED", "9/LEFT"],
        "bob": [
            "2/JOINED",
            "2/SUBSCRIBE_STARTED ann",
            "3/TOKEN_EXCHANGED SUBSCRIBE",
            "8/SUBSCRIBE_STOPPED ann",
            "8/LEFT",
        ],
    }
    changes: list[tuple[int, Change, Change]] = []
    for who, texts in told.items():
        _, audit = audited(texts)
        first_ms = None if audit.record.first_join_ms is None else audit.record.first_join_ms + NOON_MS
        record = msgspec.structs.replace(audit.record, participant_id=who, first_join_ms=first_ms)
        changes += [(at_ms, put(record), append(who, each, at_ms=NOON_MS + at_ms)) for each, at_ms in timed(texts)]
    for _, row, appended in sorted(changes, key=lambda change: change[0]):
        await commit(book, row, appended)
    await commit(book, end_session())
    await book.close()
    require_sound(path)
    damage(path, OF_A_VIEWER[name])
    assert {violation.rule for violation in violations(path)} == {name}


def test_the_place_is_named(book: Path) -> None:
    damage(book, f"UPDATE event SET error_code = 1 WHERE {one('JOINED')}")
    (found,) = violations(book)
    assert found.stage_arn.startswith("arn:")
    assert found.session_id.startswith("st-")
    assert found.participant_id
    with HistoryFiles(book) as files:
        assert found.event_id in {each.event_id for each in files.log.read_after(0, limit=100_000)}


def test_a_damaged_page_is_found(book: Path) -> None:
    with book.open("r+b") as file:
        file.seek(4096 * 12 + 100)
        file.write(b"\xff" * 3_000)
    assert "database" in {violation.rule for violation in violations(book)}


async def test_a_book_that_is_written_is_checked_as_it_was_at_one_moment(tmp_path: Path) -> None:
    """An open session has its open events, and the server's connections do not disturb the check."""
    path = tmp_path / "book.sqlite3"
    book = open_book(path)
    joined = ParticipantRecord(participant_id="p", state=ParticipantState.CONNECTED, first_join_ms=NOON_MS)
    await commit(book, put_stage(), open_session(), put(joined), append("p"))
    require_sound(path)
    damage(path, "INSERT INTO open_event SELECT session_key, number, 0, '', 1, 1 FROM participant")
    assert [violation.rule for violation in violations(path)] == ["open-events"]
    await book.close()


def test_rows_that_retention_is_deleting_are_no_damage(book: Path) -> None:
    damage(book, "INSERT INTO expired_session VALUES (1); DELETE FROM session WHERE session_key = 1")
    assert "references" not in {violation.rule for violation in violations(book)}


def test_the_memory_is_that_of_a_participant(tmp_path: Path) -> None:
    """Events are counted one at a time: the check has read none of the next participant when one is done."""
    write_book(tmp_path / "data")
    seen: list[int] = []
    check_book(tmp_path / "data" / "book.sqlite3", lambda _: None, advance=lambda counts: seen.append(counts.events))
    assert seen == [1, 6, 10]


# The search index.


@pytest.fixture
def indexed(book: Path) -> Path:
    """A book with a complete search index."""
    with HistoryFiles(book) as files:
        assert files.index.catch_up(maximum_batches=1_000).is_complete
    return book


def index_violations(book: Path) -> list[Violation]:
    found: list[Violation] = []
    assert check_index(book.with_name(SEARCH_INDEX_NAME), book, found.append) == len(found)
    return found


def test_a_complete_index_agrees(indexed: Path) -> None:
    assert index_violations(indexed) == []


def test_a_book_without_an_index_is_complete(book: Path) -> None:
    assert index_violations(book) == []


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("DELETE FROM entry WHERE sequence = (SELECT max(sequence) FROM entry)", "the search index lacks the event"),
        ("UPDATE entry SET name = 99 WHERE sequence = (SELECT max(sequence) FROM entry)", "other values"),
        ("UPDATE participant SET participant_id = participant_id || 'x'", "other values"),
        ("DROP TABLE entry", "cannot be read"),
    ],
)
def test_an_index_that_differs_is_found(indexed: Path, statement: str, detail: str) -> None:
    connection = apsw.Connection(str(indexed.with_name(SEARCH_INDEX_NAME)))
    connection.execute(statement).fetchall()
    connection.close()
    found = index_violations(indexed)
    assert {violation.rule for violation in found} == {"search-index"}
    assert detail in found[0].detail


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("DELETE FROM entry WHERE composition_key = 1", "the search index lacks the event"),
        ("UPDATE entry SET cause = NULL WHERE composition_key = 1 AND cause IS NOT NULL", "other values"),
    ],
)
def test_an_event_of_a_composition_that_the_index_has_otherwise_is_found(
    tmp_path: Path, statement: str, detail: str
) -> None:
    book = write_composition(tmp_path / "data")
    with HistoryFiles(book) as files:
        files.index.catch_up(maximum_batches=1_000)
    assert index_violations(book) == []
    connection = apsw.Connection(str(book.with_name(SEARCH_INDEX_NAME)))
    connection.execute(statement).fetchall()
    connection.close()
    found = index_violations(book)
    assert detail in found[0].detail
    assert found[0].event_id


def test_an_event_with_an_impossible_sequence_number_has_no_id(indexed: Path) -> None:
    damage(indexed, f"UPDATE event SET sequence = -1 WHERE {one('LEFT')}")
    assert "" in {violation.event_id for violation in index_violations(indexed)}


def test_an_index_that_is_behind_its_book_agrees(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "BATCH_SIZE_EVENTS", 5)
    with HistoryFiles(book) as files:
        assert not files.index.catch_up(maximum_batches=1).is_complete
    assert index_violations(book) == []
