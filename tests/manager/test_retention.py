"""Retention of a running manager: what a run deletes, its log line and status, and how it goes on after a failure."""

import asyncio
from collections import Counter
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from stagebook.book.book_errors import BookFailedError
from stagebook.book.retention_policy import DAY_MS
from stagebook.manager.retention import Retention
from stagebook.stage.resources import Stage
from tests.book.retained import AGE_DAYS, policy
from tests.manager.manager_harness import LINGER_MS, ManagerHarness, SettableClock, running_manager


def retention(harness: ManagerHarness, *, days: int = AGE_DAYS) -> Retention:
    return Retention(book=harness.book, policy=policy(days), now=harness.manager.now)


def pass_days(clock: SettableClock, days: int) -> None:
    """Let days pass on both clocks."""
    clock.ms += days * DAY_MS


async def past_session(harness: ManagerHarness) -> Stage:
    """Record a session of one publisher that has ended."""
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    connection_id = await harness.publish(claims)
    await harness.manager.participants.close(claims, connection_id=connection_id)
    harness.clock.ms += LINGER_MS
    harness.manager.tick()
    await harness.settled()
    return stage


async def test_a_run_deletes_ended_sessions_and_keeps_what_goes_on(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        past = await past_session(harness)
        open_stage = await harness.stage()
        await harness.publish(harness.claims(open_stage, "P"))
        await harness.settled()
        pass_days(harness.clock, AGE_DAYS + 1)

        await retention(harness).run_once()

        assert harness.book.list_sessions(past.arn, after=None, limit=9).items == []
        assert await harness.events(open_stage, "P") == ["JOINED", "PUBLISH_STARTED"]
        # The stage is used again.
        await harness.publish(harness.claims(past, "Q"))
        assert await harness.events(past, "Q") == ["JOINED", "PUBLISH_STARTED"]


async def test_a_run_is_one_line_of_the_log_and_is_counted(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        await past_session(harness)
        pass_days(harness.clock, AGE_DAYS + 1)
        later = await past_session(harness)
        one = retention(harness)

        with capture_logs() as logs:
            await one.run_once()

        (line,) = (line for line in logs if line["event"] == "old rows were deleted")
        counts = {"session_rows": 1, "participant_rows": 1, "event_rows": 4}
        assert counts.items() <= line.items()
        first_ms = harness.book.list_events(later.arn, harness.session_id(later), "P")[0].time_ms
        assert one.status.oldest_event_ms == first_ms
        assert line["oldest_event"].startswith("20")
        assert +Counter(one.status.deleted_rows) == {"session": 1, "participant": 1, "event": 4}
        assert one.status.last_run_ms == harness.clock.now_ms()


async def test_a_clock_that_jumps_ahead_for_a_moment_deletes_nothing(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await past_session(harness)
        harness.clock.jump_ms = 1_000 * DAY_MS
        await retention(harness).run_once()
        assert len(harness.book.list_sessions(stage.arn, after=None, limit=9).items) == 1


async def test_a_disconnected_participant_stays_out_until_its_token_must_have_expired(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await harness.stage()
        await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")
        pass_days(harness.clock, 14)
        one = retention(harness, days=1)
        await one.run_once()
        assert harness.book.is_revoked(stage.arn, "P")
        pass_days(harness.clock, 2)
        await one.run_once()
        assert not harness.book.is_revoked(stage.arn, "P")


async def test_runs_follow_each_other_also_after_one_that_found_the_book_busy(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await past_session(harness)
        pass_days(harness.clock, AGE_DAYS + 1)
        one = retention(harness)
        other = apsw.Connection(str(tmp_path / "book"))
        other.execute("BEGIN IMMEDIATE")
        with capture_logs() as logs:
            runs = asyncio.create_task(one.run(interval_seconds=0, pause_seconds=0))
            while not logs:  # noqa: ASYNC110 - the log has no event to wait for
                await asyncio.sleep(0)
            assert (logs[0]["event"], one.status.last_run_ms) == ("old rows could not be deleted", None)
            other.execute("COMMIT")
            while one.status.last_run_ms is None:  # noqa: ASYNC110 - the status has no event to wait for
                await asyncio.sleep(0)
            runs.cancel()
        other.close()
        assert harness.book.list_sessions(stage.arn, after=None, limit=9).items == []
        with pytest.raises(asyncio.CancelledError):
            await runs


async def test_a_closed_book_ends_the_runs(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        await past_session(harness)
        one = retention(harness)
        await harness.book.close()
        with pytest.raises(BookFailedError):
            await one.run(interval_seconds=0, pause_seconds=0)
