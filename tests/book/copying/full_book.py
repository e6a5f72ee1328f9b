"""A book with rows in every table that a copy has, for tests of copies."""

import asyncio
from pathlib import Path

import apsw

from stagebook.book.changes import (
    DeleteResource,
    DeleteStage,
    PutRecording,
    RevokeConnectionToken,
    RevokeParticipant,
)
from stagebook.book.copying.book_copy import Step
from stagebook.book.copying.copied_tables import CopiedTable
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.resources import ParticipantRecord, RecordingState
from tests.book.golden_values import EXCHANGE, PARTICIPANT, RECORDING, REPLICATION, RESOURCES, STAGE
from tests.book.sample import (
    ACCOUNT,
    ARN,
    KEY_ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    append_composition,
    commit,
    end_session,
    open_book,
    open_session,
    put,
    put_composition,
    put_replica,
    put_resource,
    put_stage,
)

HOSTILE_USER = "\x1b]0;Zoë \U0001f600\t'\"\\N"
"""The text form of COPY, SQL and terminals each treat a part of it in their own way."""
_OPENING = ((EventName.JOINED, None), (EventName.SUBSCRIBE_STARTED, "p"))
DELETED_KEY = KEY_ARN[:-4] + "gone"


class NoProgress:
    """Implements `Advance`; counts rows."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, step: Step, table: CopiedTable, rows: int) -> None:
        """Count the rows that were copied."""
        assert table.columns
        self.rows += rows if step == "copied" else 0

    def end_table(self, step: Step, table: CopiedTable, rows: int) -> None:
        """Do nothing."""


def write_full_book(path: Path) -> Path:
    """Write the book at `path`; return the path.

    One session has ended and one is open, with what is open in it. The newest resource was deleted, so the counter of
    its keys is larger than all keys.
    """
    asyncio.run(_write(path))
    connection = apsw.Connection(str(path))
    connection.execute(
        "INSERT INTO expired_session VALUES (77); INSERT INTO expired_composition VALUES (88)"
    ).fetchall()
    connection.close()
    return path


async def _write(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage(), put_stage(OTHER_ARN), put_stage(STAGE.arn), open_session())
    await commit(book, DeleteStage(stage_arn=STAGE.arn, at_ms=NOON_MS))
    await commit(book, put(PARTICIPANT), put(ParticipantRecord(participant_id="r", user_id=HOSTILE_USER)))
    error = Event(name=EventName.PUBLISH_ERROR, error_code=ErrorCode.BITRATE_EXCEEDED, detail="9 Mbit/s\n")
    for event in (Event(name=EventName.JOINED, cause=Cause.CLIENT), EXCHANGE, error, REPLICATION, RECORDING):
        await commit(book, append("p", event), append("r", event))
    await commit(book, _recording("first", RecordingState.STOPPED), _recording("second", RecordingState.ACTIVE))
    await commit(book, end_session())
    await commit(book, open_session(OTHER_SESSION, arn=OTHER_ARN), put("q", arn=OTHER_ARN, session_id=OTHER_SESSION))
    for event in (Event(name=name, remote_participant_id=of) for name, of in _OPENING):
        await commit(book, append("q", event, arn=OTHER_ARN, session_id=OTHER_SESSION))
    await commit(book, put_replica())
    await commit(book, *(put_resource(each) for each in RESOURCES), put_resource(DELETED_KEY))
    await commit(book, DeleteResource(arn=DELETED_KEY))
    await commit(
        book,
        RevokeParticipant(stage_arn=ARN, participant_id="p", at_ms=NOON_MS, reason="because"),
        RevokeConnectionToken(account_id=ACCOUNT, token_id="stage/é", at_ms=NOON_MS),
        RevokeConnectionToken(account_id=ACCOUNT, token_id="stage/z", at_ms=NOON_MS),
        put_composition(),
        append_composition(),
    )
    await book.close()


def _recording(recording_id: str, state: RecordingState) -> PutRecording:
    return PutRecording(
        stage_arn=ARN,
        session_id=SESSION,
        participant_id="p",
        recording_id=recording_id,
        state=state,
        bucket_name="bucket",
        prefix=f"abcdABCDefgh/{recording_id}",
        is_started=True,
    )
