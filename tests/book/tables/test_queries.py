"""The query plan of every read is an index search: no table scan, no sort."""

from collections.abc import Iterator

import apsw
import pytest

from stagebook.book.sqlite.book_connection import open_for_writing
from stagebook.book.tables import queries, session_history, table_event_log
from stagebook.book.tables.retention import retention_run
from tests.book.sample import SEAL

BY_NAME = {
    name: statement
    for module in (queries, session_history, table_event_log, retention_run)
    for name, statement in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(statement, str)
}
BY_FILTER = {
    f"list_participants(user {by_user}, published {published}, state {by_state})": queries.list_participants(
        by_user=by_user, published=published, by_state=by_state
    )
    for by_user in (False, True)
    for published in (None, False, True)
    for by_state in (False, True)
}
# Tables of one row or whose rows are the result, the array of a parameter, and partial indexes whose rows are it.
SCANS = {
    "LAST_SEQUENCE": ["SCAN sequencer"],
    "NOTE_LAST_SEQUENCE": ["SCAN sequencer", "SCAN sequencer"],
    "READ_COMPOSITION_LOG_AT": ["SCAN number VIRTUAL TABLE INDEX 1:"],
    "READ_LOG_AT": ["SCAN number VIRTUAL TABLE INDEX 1:"],
    "LIST_OPEN_SESSIONS": ["SCAN session USING INDEX session_open"],
    "HISTORY_OPEN": ["SCAN session USING INDEX session_open"],
    "LIST_OPEN_RECORDINGS": ["SCAN open_recording"],
    "LIST_ACTIVE_REPLICAS": ["SCAN replica USING INDEX replica_active"],
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = open_for_writing(tmp_path_factory.mktemp("book") / "book", seal=SEAL)
    yield connection
    connection.close()


def _plan(connection: apsw.Connection, statement: str) -> list[str]:
    names = [
        "arn",
        "stage",
        "session",
        "participant",
        "show",
        "after",
        "limit",
        "account",
        "accounts",
        "user",
        "state",
        "type",
        "token",
        "first",
        "sequences",
        "ended",
        "key",
        "before",
        "until",
        "count",
        "before",
    ]
    parameters = dict.fromkeys(names, 0) if ":" in statement else (0,) * statement.count("?")
    return [str(row[3]) for row in connection.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()]


@pytest.mark.parametrize("name", [*BY_NAME, *BY_FILTER])
def test_a_read_is_an_index_search(connection: apsw.Connection, name: str) -> None:
    plan = _plan(connection, (BY_NAME | BY_FILTER)[name])
    assert plan
    assert [step for step in plan if step.startswith("SCAN")] == SCANS.get(name, [])
    assert not [step for step in plan if "TEMP B-TREE" in step or "AUTOMATIC" in step]


@pytest.mark.parametrize("name", ["PAGE_NEWEST_FIRST", "PAGE_OLDEST_FIRST"])
def test_a_page_of_events_starts_at_its_position_in_the_index(connection: apsw.Connection, name: str) -> None:
    comparison = "<" if name == "PAGE_NEWEST_FIRST" else ">"
    step = f"SEARCH event USING PRIMARY KEY (session_key=? AND participant_number=? AND sequence{comparison}?)"
    assert step in _plan(connection, BY_NAME[name])
