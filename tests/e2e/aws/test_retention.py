"""Retention from outside: after the age, a session is gone through the AWS API, and the file is smaller."""

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.system_clock import SystemRandomness
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord
from tests.e2e import faked_clock
from tests.e2e.aws.websocket_client import joined
from tests.e2e.faked_clock import set_ahead_ms
from tests.e2e.server import POLL_SECONDS, RunningServer, run_server

DAY_MS = 86_400_000
AGE_DAYS = 30
DEADLINE_SECONDS = 60
LARGE_SESSION = "st-largeLARGE000"
EVENTS = 20_000
PROGRAM = "tests.e2e.faked_clock"


@pytest.fixture
def clock_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that sets the clock of the server."""
    path = tmp_path / "ahead-ms"
    set_ahead_ms(path, 0)
    monkeypatch.setenv(faked_clock.FILE_VARIABLE, str(path))
    return path


def record_session(server: RunningServer, stage_arn: str) -> tuple[str, str]:
    """Let a participant join and leave, and wait for the end of the session; return the ids of both."""
    client = server.client()
    token = client.create_participant_token(stageArn=stage_arn)["participantToken"]
    with joined(token["token"]):
        pass
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        session = client.list_stage_sessions(stageArn=stage_arn)["stageSessions"][0]
        if "endTime" in session:
            return session["sessionId"], token["participantId"]
        time.sleep(POLL_SECONDS)
    raise AssertionError("the session did not end")


def add_large_session(data: Path, stage_arn: str) -> None:
    """Add a session with many events to the book of a stopped server."""
    folder = DataFolder(data)
    where = {"stage_arn": stage_arn, "session_id": LARGE_SESSION}
    now_ms = time.time_ns() // 1_000_000
    changes: list[Change] = [OpenSession(**where, start_ms=now_ms)]
    changes.append(PutParticipant(**where, participant=ParticipantRecord(participant_id="busy")))
    changes += [
        AppendEvent(**where, participant_id="busy", event=Event(name=EventName.JOINED, detail="why"), at_ms=now_ms)
        for _ in range(EVENTS)
    ]
    changes.append(EndSession(**where, end_ms=now_ms))

    async def add() -> None:
        read_secret = partial(folder.stream_key_secret, randomness=SystemRandomness())
        book = SqliteBook.open(folder.book_path, read_secret=read_secret)
        await book.submit(changes).durable
        await book.close()

    asyncio.run(add())


def events(server: RunningServer, stage_arn: str, session_id: str, participant_id: str) -> list[str]:
    response = server.client().list_participant_events(
        stageArn=stage_arn, sessionId=session_id, participantId=participant_id
    )
    return [event["name"] for event in response["events"]]


def test_old_sessions_are_deleted_and_the_file_becomes_smaller_while_the_server_runs(
    tmp_path: Path, clock_path: Path
) -> None:
    data = tmp_path / "data"
    with run_server(data, program=PROGRAM, auth="off", session_linger_seconds="0") as server:
        stage_arn = server.client().create_stage()["stage"]["arn"]
        kept_arn = server.client().create_stage()["stage"]["arn"]
        old = record_session(server, stage_arn)
        kept = record_session(server, kept_arn)
        assert events(server, stage_arn, *old) == ["LEFT", "JOINED"]
    add_large_session(data, stage_arn)
    before = (data / "book.sqlite3").stat().st_size

    set_ahead_ms(clock_path, (AGE_DAYS + 1) * DAY_MS)
    config = tmp_path / "stagebook.toml"
    config.write_text(f'retention_days = {AGE_DAYS}\n[retention_overrides]\n"{kept_arn}" = 0\n', encoding="utf-8")
    with run_server(data, config=config, program=PROGRAM, auth="off", session_linger_seconds="0") as server:
        new = record_session(server, stage_arn)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while "old rows were deleted" not in server.log and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

        assert events(server, stage_arn, *old) == []
        assert events(server, stage_arn, LARGE_SESSION, "busy") == []
        sessions = server.client().list_stage_sessions(stageArn=stage_arn)["stageSessions"]
        assert [session["sessionId"] for session in sessions] == [new[0]]
        assert events(server, stage_arn, *new) == ["LEFT", "JOINED"]
        assert events(server, kept_arn, *kept) == ["LEFT", "JOINED"]
        assert (data / "book.sqlite3").stat().st_size < before / 4
        (line,) = (line for line in server.log.splitlines() if "old rows were deleted" in line)
        assert f"event_rows={EVENTS + len(['JOINED', 'LEFT'])}" in line
