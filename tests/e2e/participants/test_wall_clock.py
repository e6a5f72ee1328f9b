"""A wall clock that is set while the server runs: tokens, sessions and the times of events, from outside."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.clients.events_client import connect_events_client
from tests.e2e import faked_clock
from tests.e2e.faked_clock import set_ahead_ms
from tests.e2e.participants.stage_handle import DEADLINE_SECONDS, POLL_SECONDS, StageHandle
from tests.e2e.server import run_server

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TOLERANCE = timedelta(seconds=2)


@pytest.fixture
def clock_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that sets the clock of the server."""
    path = tmp_path / "ahead-ms"
    set_ahead_ms(path, 0)
    monkeypatch.setenv(faked_clock.FILE_VARIABLE, str(path))
    return path


@pytest.fixture
def stage(tmp_path: Path, clock_path: Path) -> Iterator[StageHandle]:
    """A stage of a server with this clock. Signatures have a time, so the server does not ask for them."""
    del clock_path
    program = "tests.e2e.faked_clock"
    with run_server(tmp_path / "data", program=program, auth="off", session_linger_seconds="1") as server:
        yield StageHandle(server)


async def session_end(stage: StageHandle) -> datetime:
    """Wait until the newest session has ended; return its end."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        sessions = (await stage.call("list_stage_sessions"))["stageSessions"]
        if sessions and "endTime" in sessions[0]:
            end: datetime = sessions[0]["endTime"]
            return end
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError("the session did not end")


async def event_times(stage: StageHandle, participant_id: str) -> list[datetime]:
    """Return the times of a participant's events in the newest session, oldest first."""
    response = await stage.call(
        "list_participant_events", sessionId=await stage.session_id(), participantId=participant_id
    )
    return [event["eventTime"] for event in reversed(response["events"])]


async def test_a_clock_that_is_a_day_ahead_for_a_moment_leaves_no_trace(stage: StageHandle, clock_path: Path) -> None:
    started_at = datetime.now(UTC)
    participant_id, token = await stage.token()
    late_id, late_token = await stage.token()
    async with connect_events_client(token) as client:
        await client.wait_until(lambda shown: participant_id in shown)
        set_ahead_ms(clock_path, DAY_MS)
        with pytest.raises(InvalidStatus):
            async with connect_events_client(late_token):
                pass  # the token has expired by this clock
    await stage.expect_events(participant_id, "JOINED", "LEFT")
    set_ahead_ms(clock_path, 0)

    async with connect_events_client(late_token) as client:
        await client.wait_until(lambda shown: late_id in shown)
    await stage.expect_events(late_id, "JOINED", "LEFT")
    end = await session_end(stage)

    times = await event_times(stage, late_id)
    assert all(started_at - TOLERANCE <= each <= datetime.now(UTC) + TOLERANCE for each in (*times, end))


async def test_a_session_ends_in_time_although_the_clock_went_back_an_hour(
    stage: StageHandle, clock_path: Path
) -> None:
    participant_id, token = await stage.token()
    async with connect_events_client(token) as client:
        await client.wait_until(lambda shown: participant_id in shown)
        set_ahead_ms(clock_path, -HOUR_MS)
    await stage.expect_events(participant_id, "JOINED", "LEFT")

    end = await session_end(stage)

    joined, left = await event_times(stage, participant_id)
    assert joined <= left <= end <= datetime.now(UTC) + TOLERANCE
