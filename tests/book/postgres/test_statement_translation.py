"""Every statement that reads the book is accepted by PostgreSQL, and is an index search in a book of some size."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from stagebook.book import tables
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.postgres.statement_translation import translated
from stagebook.book.tables import queries, table_event_log
from stagebook.book.tables.compositions.composition_rows import NOT_ENDED_MS
from tests.book.sample import ACCOUNT, ARN, SESSION
from tests.postgres_server import database

MODULES = [
    importlib.import_module(each.name) for each in pkgutil.walk_packages(tables.__path__, prefix=f"{tables.__name__}.")
]


def constants(module: ModuleType) -> dict[str, str]:
    """Return the statements of a module that read."""
    return {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str) and is_read(value)
    }


def is_read(text: str) -> bool:
    """Return whether a text is a statement that reads."""
    return text.lstrip().startswith(("SELECT", "WITH"))


STATEMENTS = {name: statement for module in MODULES for name, statement in constants(module).items()} | {
    f"list_participants(user {by_user}, published {published}, state {by_state}, recorded {recorded})": (
        queries.list_participants(by_user=by_user, published=published, by_state=by_state, recorded=recorded)
    )
    for by_user in (False, True)
    for published in (None, False, True)
    for by_state in (False, True)
    for recorded in (None, False, True)
}

MAXIMUM_BUFFERS = 150
"""Pages that a statement may touch for LIMIT rows: some index searches and three or four rows of joins for each row.
The tables of the test have thousands of pages."""

LIMIT = 10
PARTICIPANTS = 4_000
BUSY = "p4"
"""The participant with many events."""
NEWEST = 1 << 60

PARAMETERS: dict[str, Any] = {
    "arn": ARN,
    "session": SESSION,
    "participant": BUSY,
    "account": ACCOUNT,
    "accounts": ACCOUNT,
    "user": "user3",
    "token": "token",
    "type": "public-key",
    "sequences": "[6,4,5]",
    "show": True,
    "after": 2_000,
    "before": 9_000,
    "until": 9_000,
    "first": 1_500,
    "limit": LIMIT,
    "count": LIMIT,
    "key": 7,
    "state": 1,
    "recording": 1,
    "ended": None,
    "ended_after": 1,
    "not_ended": NOT_ENDED_MS,
    "stage": ARN,
    "last": 9_000,
    "any_user": 1,
    "composition": "",
    "names": 0,
    "errors": 0,
    "causes": 0,
    "offset": LIMIT,
    "examined": 10 * LIMIT,
}
EVERYTHING = {"stage": "", "session": "", "participant": ""}
OF_STATEMENT: dict[str, dict[str, Any]] = {
    "SEARCH_OLDEST_FIRST": EVERYTHING,
    "SEARCH_NEWEST_FIRST": EVERYTHING,
    "SEARCH_COMPOSITIONS_OLDEST_FIRST": EVERYTHING | {"last": NEWEST},
    "SEARCH_COMPOSITIONS_NEWEST_FIRST": EVERYTHING | {"last": NEWEST},
    "LIST_OPEN_PARTICIPANTS": {"after": 0},
    # A filter by user looks at each session of the range.
    "HISTORY_OF_ALL_STAGES": {"user": None},
    "HISTORY_OF_STAGE": {"user": None},
    "NEXT_ACCOUNT_WITH_REVOCATIONS": {"after": ""},
    "HAS_SESSION": {"stage": 3},
    "LIST_REVOCATIONS": {"stage": 3, "participant": "p2"},
    "HAS_REVOKED_BEFORE": {"stage": 3},
    "OLDEST_SESSIONS": {"stage": 3},
    "HAS_BOUND_PARTICIPANTS": {"stage": "abcd"},
    "CONNECTED_NUMBERS": {"session": 7},
    "NUMBERS_WITH_OPEN_EVENTS": {"session": 7},
    "LIST_ENDED_COMPOSITIONS": {"after": NOT_ENDED_MS - 1},
}
POSITIONAL: dict[str, tuple[Any, ...]] = {
    "PAGE_NEWEST_FIRST": (ARN, SESSION, BUSY, True, 9, NEWEST, LIMIT),
    "PAGE_OLDEST_FIRST": (ARN, SESSION, BUSY, True, 9, 0, LIMIT),
    "LIST_EVENTS": (ARN, SESSION, "p5", True),
    "HISTORY_EVENTS": (7, 5),
}
# They read one row of each of many participants, all of what is open, or everything of an account.
UNBOUNDED = {"LAST_SEQUENCE_OF_SESSION", "COUNT_STAGES", "COUNT_RESOURCES", "LIST_OPEN_SESSIONS", "HISTORY_OPEN"}
UNBOUNDED |= {"OPEN_SESSION_KEYS", "OPEN_RECORDING_KEYS", "COMPOSITION_KEYS"}
UNBOUNDED |= {"LIST_REVOCATIONS"}  # Looks at each stage of the account.
UNBOUNDED |= {"LIST_ACTIVE_REPLICAS", "LIST_OPEN_RECORDINGS"}
# Small tables, and the result of an index search that has to be in another order.
MAY_SCAN = {"sequencer", "node_run"}
MAY_SORT = {"LIST_LATE_COMPOSITIONS", "LIST_ENDED_COMPOSITIONS", "READ_LOG_AT", "READ_COMPOSITION_LOG_AT"}
MAY_SORT |= {"LIST_OPEN_PARTICIPANTS", "LIST_REVOCATIONS"}

FILL = f"""
INSERT INTO stage (stage_key, arn, account_id, name, created_ms, tags, recording)
SELECT n, CASE n WHEN 3 THEN '{ARN}' ELSE 'arn' || n END, '{ACCOUNT}', '', 1, '{{}}', '{{}}'
FROM generate_series(1, 3000) AS n;
INSERT INTO session (session_key, stage_key, session_id, start_ms, end_ms)
SELECT n, CASE WHEN n < 7 OR n > 2000 THEN 3 ELSE n END, CASE n WHEN 7 THEN '{SESSION}' ELSE 'st' || n END, n, n
FROM generate_series(1, 5000) AS n WHERE n <> 7;
INSERT INTO session (session_key, stage_key, session_id, start_ms) VALUES (7, 3, '{SESSION}', 7);
INSERT INTO participant (session_key, number, participant_id, user_id, state, published, recording_state)
SELECT 7, n, 'p' || n, 'user' || n % 10, (n % 10 = 0)::integer, (n % 10 = 0)::integer, CASE n % 10 WHEN 0 THEN 1 END
FROM generate_series(1, {PARTICIPANTS}) AS n;
INSERT INTO event (session_key, participant_number, sequence, name, replica)
SELECT 7, (n - 1) % {PARTICIPANTS} + 1, n, n % 9, 0 FROM generate_series(1, 8000) AS n;
INSERT INTO event (session_key, participant_number, sequence, name, replica)
SELECT 7, 4, n, n % 9, 0 FROM generate_series(8001, 16000) AS n;
INSERT INTO open_event (session_key, participant_number, name, about, sequence, open_count)
SELECT 7, participant_number, 0, '', sequence, 1 FROM event WHERE sequence <= 2000;
INSERT INTO resource (arn, account_id, resource_type, value)
SELECT 'key' || n, '{ACCOUNT}', CASE WHEN n % 2 = 0 THEN 'public-key' ELSE 'other' END, '{{}}'
FROM generate_series(1, 4000) AS n;
INSERT INTO composition (composition_key, arn, account_id, stage_arn, start_ms, end_ms, value)
SELECT n, 'composition' || n, '{ACCOUNT}', '{ARN}', n, n, '{{}}' FROM generate_series(1, 3000) AS n;
INSERT INTO composition_event (sequence, composition_key, name)
SELECT 20000 + n, n % 3000 + 1, 0 FROM generate_series(1, 6000) AS n;
INSERT INTO replica (source_stage_key, source_session_key, participant_id, destination_session_key, state)
SELECT 3, 7, '{BUSY}', n, (n % 100 > 0)::integer FROM generate_series(1, 3000) AS n;
INSERT INTO connection_token_revocation SELECT '{ACCOUNT}', 'token' || n, n FROM generate_series(1, 3000) AS n;
INSERT INTO revocation SELECT 3, 'p' || n, n, '' FROM generate_series(1, 3000) AS n;
"""  # noqa: S608 - the values are constants


@pytest.fixture(scope="module")
def filled(postgres_server_url: str) -> Iterator[PostgresConnection]:
    """A connection to a book in which each table has thousands of rows. Its statistics were never made."""
    with database(postgres_server_url) as url:
        connection = PostgresConnection(url)
        migrate(connection)
        connection.script(FILL)
        yield connection
        connection.close()


def parameters_of(name: str) -> Any:  # noqa: ANN401 - a mapping or a sequence
    return POSITIONAL.get(name) or PARAMETERS | OF_STATEMENT.get(name, {})


def explained(connection: PostgresConnection, name: str) -> dict[str, Any]:
    """Return the plan of a statement as it was executed, with the generic plan of a prepared statement."""
    values: list[Any] = []
    known: dict[str, int] = {}
    given = parameters_of(name)

    def number(found: re.Match[str]) -> str:
        key = found[1] or str(len(values))
        if key not in known:
            values.append(given[key] if isinstance(given, dict) else given[int(key)])
            known[key] = len(values)
        return f"${known[key]}"

    statement = re.sub(r"%(?:\((\w+)\))?s", number, translated(STATEMENTS[name]))
    types = ", ".join({bool: "boolean", int: "bigint"}.get(type(value), "unknown") for value in values)
    connection.session.execute(f"PREPARE tested{f'({types})' if types else ''} AS {statement}".encode())
    arguments = ", ".join("NULL" if value is None else f"'{value}'" for value in values)
    execute = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE tested{f'({arguments})' if values else ''}"
    try:
        ((plan,),) = connection.session.execute(execute.encode(), prepare=False).fetchall()
    finally:
        connection.script("DEALLOCATE tested")
    result: dict[str, Any] = plan[0]["Plan"]
    return result


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_read_is_an_index_search(filled: PostgresConnection, name: str) -> None:
    plan = explained(filled, name)
    kinds = {(node["Node Type"], node.get("Relation Name")) for node in nodes(plan)}
    assert {table for kind, table in kinds if kind == "Seq Scan"} <= MAY_SCAN
    if name not in MAY_SORT:
        assert not [kind for kind, _ in kinds if "Sort" in kind]
    if name not in UNBOUNDED:
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= MAXIMUM_BUFFERS


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_read_is_accepted_with_the_types_that_the_driver_sends(filled: PostgresConnection, name: str) -> None:
    filled.rows(STATEMENTS[name], parameters_of(name))


@pytest.mark.parametrize("name", [name for name in STATEMENTS if "HISTORY" in name or "COMPOSITIONS" in name])
def test_a_filter_may_be_absent(filled: PostgresConnection, name: str) -> None:
    absent = dict.fromkeys(("account", "user", "ended", "stage", "arn"))
    if name not in POSITIONAL:
        filled.rows(STATEMENTS[name], PARAMETERS | absent)


def test_the_log_at_numbers_has_their_order(filled: PostgresConnection) -> None:
    rows = filled.rows(table_event_log.READ_LOG_AT, {"sequences": "[9,3,99999,7]"})
    assert [row[5] for row in rows] == [9, 3, 7]


@pytest.mark.parametrize("name", ["READ_LOG_OF_ACCOUNTS", "READ_COMPOSITION_LOG_OF_ACCOUNTS"])
def test_the_accounts_of_a_node_are_hashed_once_for_all_events_that_are_read(
    filled: PostgresConnection, name: str
) -> None:
    plan = explained(filled, name)
    assert [node["Actual Loops"] for node in nodes(plan) if node["Node Type"] == "ProjectSet"] == [1]
    assert [node for node in nodes(plan) if "hashed" in node.get("Filter", "")]


def test_the_log_of_accounts_has_their_events_only(filled: PostgresConnection) -> None:
    parameters: dict[str, Any] = {"accounts": f"000000000000,{ACCOUNT}", "after": 9_000, "limit": 3}
    assert [row[5] for row in filled.rows(table_event_log.READ_LOG_OF_ACCOUNTS, parameters)] == [9_001, 9_002, 9_003]
    assert filled.rows(table_event_log.READ_LOG_OF_ACCOUNTS, parameters | {"accounts": "000000000000"}) == []
    assert filled.rows(table_event_log.READ_LOG_OF_ACCOUNTS, parameters | {"accounts": ""}) == []


def test_a_page_of_events_is_a_range_of_the_primary_key(filled: PostgresConnection) -> None:
    for name in ("PAGE_NEWEST_FIRST", "PAGE_OLDEST_FIRST"):
        scans = [node for node in nodes(explained(filled, name)) if node.get("Index Name") == "event_pkey"]
        assert len(scans) == 1
        assert "sequence" in scans[0]["Index Cond"]
        assert scans[0]["Actual Rows"] == LIMIT
