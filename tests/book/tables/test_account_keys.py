"""The keys of an account are those of its stages, of what is open and of compositions that are shown."""

from pathlib import Path

import apsw
import pytest

from stagebook.book.changes import DeleteStage, PutRecording
from stagebook.book.sqlite.book_connection import open_for_reading, open_for_writing
from stagebook.book.sqlite.sqlite_connection import SqliteConnection
from stagebook.book.tables import account_keys
from stagebook.book.tables.account_keys import AccountKeys, OpenSessionKeys, RecordingKeys, read_account_keys
from stagebook.stage.composition.composition import KEPT_MS
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, RecordingState
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    NOON_MS,
    OTHER_ARN,
    SEAL,
    append,
    commit,
    composition,
    end_session,
    open_book,
    open_session,
    put,
    put_composition,
    put_stage,
)

NO_SCAN = [name for name, value in vars(account_keys).items() if name.isupper() and isinstance(value, str)]


def connected(participant_id: str) -> ParticipantRecord:
    return ParticipantRecord(participant_id=participant_id, state=ParticipantState.CONNECTED)


def recording(session_id: str) -> PutRecording:
    return PutRecording(
        stage_arn=OTHER_ARN,
        session_id=session_id,
        participant_id="recorded",
        recording_id="recording",
        state=RecordingState.STOPPING,
        bucket_name="bucket",
        prefix="a/b",
    )


async def read(path: Path, account_id: str = ACCOUNT) -> AccountKeys:
    """Read the keys on a connection of their own, in pages of two rows."""
    connection = SqliteConnection(open_for_reading(path))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(account_keys, "ROWS_PER_PAGE", 2)
            return read_account_keys(connection, account_id, now_ms=NOON_MS)
    finally:
        connection.close()


async def test_stages_open_sessions_open_recordings_and_shown_compositions(tmp_path: Path) -> None:
    book = open_book(tmp_path / "book")
    arns = [f"{ARN[:-1]}{number}" for number in range(5)]
    await commit(book, *(put_stage(arn) for arn in (*arns, OTHER_ARN)))
    # Keys 1 to 5 and 6. A session with an open recording has ended, and its stage is deleted.
    await commit(book, open_session("st-1", arn=OTHER_ARN), put("recorded", session_id="st-1", arn=OTHER_ARN))
    await commit(book, recording("st-1"), end_session("st-1", arn=OTHER_ARN), DeleteStage(stage_arn=OTHER_ARN, at_ms=0))
    await commit(book, open_session("st-2", arn=arns[0]), put("left", session_id="st-2", arn=arns[0]))
    for name in ("a", "b", "c", "awaited"):
        await commit(book, put(connected(name), session_id="st-2", arn=arns[0]))
    # Not connected, with an event that nothing has ended.
    await commit(
        book,
        append("awaited", EventName.REPLICATION_STARTED, session_id="st-2", arn=arns[0]),
        put("awaited", session_id="st-2", arn=arns[0]),
    )
    ended = [NOON_MS - KEPT_MS, NOON_MS - KEPT_MS + 1, None]
    for number, end_ms in enumerate(ended):
        await commit(
            book,
            put_composition(composition(f"{COMPOSITION_ARN}{number}", stage_arn=arns[0])),
            put_composition(composition(f"{COMPOSITION_ARN}{number}", stage_arn=arns[0], end_ms=end_ms)),
        )
    await book.note_open_events()

    keys = await read(tmp_path / "book")
    nothing = await read(tmp_path / "book", "210987654321")
    await book.close()

    assert keys.stages == {arn: key for key, arn in enumerate(arns, start=1)}
    (opened,) = keys.sessions
    assert isinstance(opened, OpenSessionKeys)
    assert (opened.place.stage_arn, opened.place.stage_key, opened.place.session_key) == (arns[0], 1, 2)
    assert opened.numbers == {"a": 2, "b": 3, "c": 4, "awaited": 5}
    assert opened.last_number == 5
    (recorded,) = keys.recordings
    assert isinstance(recorded, RecordingKeys)
    assert (recorded.recording_id, recorded.participant_id, recorded.number) == ("recording", "recorded", 1)
    assert (recorded.place.is_deleted, recorded.place.session_key) == (True, 1)
    assert keys.compositions == {f"{COMPOSITION_ARN}1": 2, f"{COMPOSITION_ARN}2": 3}
    assert nothing == AccountKeys(account_id="210987654321")


@pytest.mark.parametrize("name", NO_SCAN)
def test_a_read_is_an_index_search(tmp_path: Path, name: str) -> None:
    connection: apsw.Connection = open_for_writing(tmp_path / "book", seal=SEAL)
    names = ("account", "after", "limit", "session", "state", "ended_after")
    rows = SqliteConnection(connection).rows(
        "EXPLAIN QUERY PLAN " + getattr(account_keys, name), dict.fromkeys(names, 0)
    )
    connection.close()
    plan = [str(row[3]) for row in rows]
    # What is open in the whole book: each row is used.
    open_ones = ["SCAN session USING INDEX session_open", "SCAN open_recording USING INDEX open_recording_of_session"]
    assert [step for step in plan if step.startswith("SCAN") and step not in open_ones] == []
    assert not [step for step in plan if "TEMP B-TREE" in step or "AUTOMATIC" in step]
