"""The function that writes a group: the same rows as in SQLite, once, and only while the run may write."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import apsw
import pytest

from stagebook.book.changes import (
    AppendEvent,
    Change,
    DeleteResource,
    DeleteStage,
    PutRecording,
    PutStage,
    RevokeConnectionToken,
    RevokeParticipant,
    sequence_time_ms,
)
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import RunFencedError
from stagebook.book.postgres.write_function import group_parameters
from stagebook.book.tables.change_rows import PARTICIPANTS
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.stage.events import Event, EventName, ReplicationDestination
from stagebook.stage.resources import ParticipantRecord, ParticipantState, RecordingState, ReplicationState
from tests.book import sample
from tests.book.postgres.group_writer import GroupWriter

DELETED_ARN = sample.ARN + "x"
OTHER_KEY_ARN = sample.KEY_ARN + "x"
COMPARED = (
    "stage",
    "session",
    "participant",
    "event",
    "open_event",
    "open_recording",
    "revocation",
    "connection_token_revocation",
    "resource",
    "replica",
    "composition",
    "composition_event",
)
# Positions in pages. PostgreSQL's have gaps.
WITHOUT_KEY = {"resource": "resource_key", "replica": "replica_key"}


@pytest.fixture
def writer(connection: PostgresConnection) -> GroupWriter:
    return GroupWriter(connection)


def event(participant_id: str, name: EventName, at_ms: int, *, remote: str | None = None) -> AppendEvent:
    about = ReplicationDestination(stage_arn=sample.OTHER_ARN, session_id="st-x") if "REPLICATION" in name else None
    value = Event(name=name, remote_participant_id=remote, destination=about)
    return AppendEvent(
        stage_arn=sample.ARN, session_id=sample.SESSION, participant_id=participant_id, at_ms=at_ms, event=value
    )


def random_history(seed: int) -> list[list[Change]]:
    """Return transactions with every kind of change, and with repeated states of the same rows."""
    chance = random.Random(seed)
    names = [name for name in EventName if "RECORDING" not in name]
    history: list[list[Change]] = [
        [sample.put_stage(), sample.put_stage(sample.OTHER_ARN), sample.put_stage(DELETED_ARN)],
        [sample.open_session(), sample.open_session(sample.OTHER_SESSION, arn=sample.OTHER_ARN)],
    ]
    people = [f"participant{number}" for number in range(5)]
    history.append([sample.put(person) for person in people])
    for step in range(120):
        person, now = chance.choice(people), sample.NOON_MS + step
        record = ParticipantRecord(
            participant_id=person,
            user_id=chance.choice(("", "ann\u00e9", 'b"\\\\u0000')),
            state=chance.choice(list(ParticipantState)),
            published=chance.random() < 0.5,
        )
        recording = PutRecording(
            stage_arn=sample.ARN,
            session_id=sample.SESSION,
            participant_id=person,
            recording_id=f"recording{chance.randrange(12)}",
            state=chance.choice(list(RecordingState)[1:]),
            bucket_name="bucket",
            prefix=f"prefix{step}",
            is_started=True,
            is_shown=chance.random() < 0.7,
        )
        key = sample.public_key(chance.choice((sample.KEY_ARN, OTHER_KEY_ARN)), name=str(step))
        history.append(
            chance.choice(
                [
                    [sample.put(record), event(person, chance.choice(names), now, remote=chance.choice(people))],
                    [event(person, chance.choice(names), now)],
                    [recording],
                    [sample.put_resource(key)],
                    [sample.put_replica(person, state=chance.choice(list(ReplicationState)))],
                    [DeleteResource(arn=key.arn)],
                    [PutStage(stage=sample.stage(name=f"name{step}"))],
                    [RevokeParticipant(stage_arn=sample.ARN, participant_id=person, at_ms=now, reason="why")],
                    [RevokeConnectionToken(account_id=sample.ACCOUNT, token_id=person, at_ms=now)],
                ]
            )
        )
    history.append([sample.end_session(end_ms=sample.NOON_MS + 10_000), DeleteStage(stage_arn=DELETED_ARN, at_ms=5)])
    history.append([sample.put_resource(), sample.put_composition(), sample.append_composition()])
    history.append([sample.open_session(sample.OTHER_SESSION, start_ms=sample.NOON_MS + 20_000)])
    return history


async def sqlite_rows(
    path: Path, history: Sequence[Sequence[Change]], columns: dict[str, str]
) -> dict[str, list[object]]:
    """Return the rows of the tables of a SQLite book in which these transactions were submitted."""
    book = sample.open_book(path)
    for changes in history:
        book.submit(changes)
    await book.note_open_events()
    await book.close()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = {table: sorted_rows(connection.execute(all_rows(table, columns))) for table in COMPARED}
    connection.close()
    return rows


def columns_of(connection: PostgresConnection, table: str) -> str:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY column_name", (table,)
    )
    names = [name for (name,) in rows if name != WITHOUT_KEY.get(table)]
    return ", ".join("CAST(extra AS text)" if name == "extra" else name for name in names)


def all_rows(table: str, columns: dict[str, str]) -> str:
    names = columns[table]
    if table == "open_event":
        # A random history has ends without a start. Whether such a row has the number of a start that is over depends
        # on the groups; a row that is open has the number of the newest start.
        names = names.replace("sequence", "CASE WHEN open_count > 0 THEN sequence END")
    return f"SELECT {names} FROM {table}"  # noqa: S608 - names of tables and columns


def sorted_rows(rows: Iterable[object]) -> list[object]:
    return sorted(rows, key=repr)


@pytest.mark.parametrize("seed", range(6))
async def test_groups_of_any_size_write_the_rows_of_the_sqlite_book(
    connection: PostgresConnection, tmp_path: Path, seed: int
) -> None:
    writer = GroupWriter(connection, sequence_slots=1)
    history = random_history(seed)
    chance = random.Random(seed)
    left = list(history)
    while left:
        size = chance.choice((1, 1, 3, 40))
        assert writer.write(*left[:size])
        left = left[size:]
    columns = {table: columns_of(writer.connection, table) for table in COMPARED}
    expected = await sqlite_rows(tmp_path / "book", history, columns)
    for table in COMPARED:
        written = sorted_rows(writer.connection.execute(all_rows(table, columns)))
        assert written == expected[table], table
        assert written, f"the test has no {table}"


def test_resources_get_positions_in_the_order_of_their_creation(writer: GroupWriter) -> None:
    arns = [f"{sample.KEY_ARN}{number}" for number in (5, 3, 4, 1)]
    writer.write(*([sample.put_resource(arn)] for arn in arns))
    rows = writer.connection.execute("SELECT arn FROM resource ORDER BY resource_key")
    assert [arn for (arn,) in rows] == arns


def test_a_group_that_is_sent_again_is_written_once(writer: GroupWriter) -> None:
    writer.write([sample.put_stage()], [sample.open_session()], [sample.put("p")])
    _, rows = writer.translator.translate([sample.append("p")])
    parameters = group_parameters(rows)
    assert writer.send(2, parameters)
    assert not writer.send(2, parameters)
    assert writer.connection.execute("SELECT count(*), max(open_count) FROM event, open_event") == [(1, 1)]


@pytest.mark.parametrize(
    "end", ["UPDATE node_run SET fenced_at = now()", "UPDATE node_run SET ended_at = now()"], ids=["fenced", "ended"]
)
def test_a_run_that_is_over_writes_nothing(writer: GroupWriter, end: str) -> None:
    writer.write([sample.put_stage()])
    writer.connection.execute(end)
    with pytest.raises(RunFencedError, match="another node has taken over"):
        writer.write([sample.put_stage(sample.OTHER_ARN)])
    assert writer.connection.execute("SELECT arn FROM stage") == [(sample.ARN,)]


def test_a_group_renews_the_heartbeat_and_notes_the_sequence(writer: GroupWriter) -> None:
    writer.connection.execute("UPDATE node_run SET heartbeat_at = now() - interval '1 hour'")
    writer.write([sample.put_stage(), sample.open_session(), sample.put("p"), sample.append("p")])
    ((is_fresh, sequence),) = writer.connection.execute(
        "SELECT heartbeat_at > now() - interval '1 minute', last_sequence FROM node_run"
    )
    assert is_fresh
    assert sequence == writer.translator.last_sequence > 0


def test_nodes_that_write_at_the_same_time_give_different_numbers(connection: PostgresConnection) -> None:
    """The log has one order, in which a position is between two events, and a number is that of one event."""
    for _ in range(3):
        writer = GroupWriter(connection)
        number = writer.run_id
        stage, session = f"{sample.ARN}{number}", f"{sample.SESSION}{number}"
        composition = sample.composition(f"{sample.COMPOSITION_ARN}{number}", stage_arn=stage)
        writer.write(
            [sample.put_stage(stage), sample.open_session(session, arn=stage), sample.put_composition(composition)],
            [sample.put("p", session_id=session, arn=stage)],
            [sample.append("p", session_id=session, arn=stage)] * 2,
            [sample.append_composition(arn=composition.arn)] * 2,
        )
    entries = TableEventLog(connection).read_entries_after(0, limit=99)
    assert len({each.sequence for each in entries}) == len(entries) == 12
    assert {sequence_time_ms(each.sequence) for each in entries} == {sample.NOON_MS}


def test_nul_characters_are_replaced(writer: GroupWriter) -> None:
    writer.write([sample.put_stage(), sample.open_session()])
    texts = ["\x00", "a\x00\x00b", "\\\x00", "\\u0000", "\\\\u0000"]
    for number, text in enumerate(texts):
        writer.write([sample.put(ParticipantRecord(participant_id=f"p{number}", user_id=text))])
    rows = writer.connection.execute("SELECT user_id FROM participant ORDER BY number")
    assert [text for (text,) in rows] == [text.replace("\x00", "\ufffd") for text in texts]


def test_a_group_is_one_statement_however_many_rows_it_has() -> None:
    rows = [(PARTICIPANTS, "[1]"), (PARTICIPANTS, "[2]")]
    parameters = group_parameters([*rows, *rows[:1]])
    assert parameters[PARTICIPANTS] == "[[1],[2],[1]]"
    assert parameters.count(None) == len(parameters) - 1
