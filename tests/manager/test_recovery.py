"""Recovery after a crash: one LEFT for each JOINED, with its cause, and once."""

from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest

from stagebook.book.book_values import OpenParticipant
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.sqlite import open_events
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantState, Stage
from tests.book.distant_book import DistantBook
from tests.manager.manager_harness import (
    ACCOUNT,
    CLIENT,
    LINGER_MS,
    ManagerHarness,
    SettableClock,
    Watcher,
    running_manager,
)

OTHER_ACCOUNT = "210987654321"


async def test_recovery_closes_what_the_last_run_left_open(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=Watcher(), client=CLIENT)
        await harness.settled()
    clock.ms += 60_000

    for _ in range(2):
        async with running_manager(tmp_path / "book", clock=clock) as harness:
            assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
            assert await harness.events(stage, "V") == [
                "JOINED",
                "SUBSCRIBE_STARTED(P)",
                "SUBSCRIBE_STOPPED(P)",
                "LEFT",
            ]
            assert await harness.events(stage, "W") == ["JOINED", "LEFT"]
            session = harness.book.get_session(stage.arn, harness.session_id(stage))
            record = harness.book.get_participant(stage.arn, harness.session_id(stage), "P")
            left = harness.book.list_events(stage.arn, harness.session_id(stage), "P")[-1]
            assert session is not None
            assert session.end_ms == left.time_ms == clock.ms
            assert record is not None
            assert record.state is ParticipantState.DISCONNECTED
            assert record.published
            assert left.event.cause is Cause.CRASH_RECOVERY


async def test_one_account_is_recovered_while_another_is_served(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        mine = await harness.stage()
        theirs, _ = await harness.manager.stages.create(
            account_id=OTHER_ACCOUNT, name="", tags={}, recording={}, tokens=[]
        )
        for stage in (mine, theirs):
            await harness.publish(harness.claims(stage, "P"))
        await harness.settled()

    async def start(manager: StageManager, decided: SqliteBook | MemoryBook, *, now_ms: int) -> int:
        if isinstance(decided, MemoryBook):
            await cast("DistantBook", decided._book).load_all(now_ms=now_ms)
        manager.listen()
        return await manager.recover(OTHER_ACCOUNT)

    with patch("tests.manager.manager_harness.start_manager", start):
        async with running_manager(tmp_path / "book") as harness:
            assert await harness.events(theirs, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
            assert [each.stage_arn for each in harness.book.list_open_sessions()] == [mine.arn]
            assert [each.stage_arn for each in harness.book.list_open_sessions(account_id=ACCOUNT)] == [mine.arn]
            assert harness.book.list_open_sessions(account_id=OTHER_ACCOUNT) == []
            await harness.publish(harness.claims(theirs, "Q"))

            assert await harness.manager.recover(ACCOUNT) == 1

            assert await harness.events(mine, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
            assert await harness.events(theirs, "Q") == ["JOINED", "PUBLISH_STARTED"]


async def test_each_of_two_subscriptions_to_one_publisher_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_events, "MAXIMUM_UNNOTED_EVENTS", 1)  # so that what is open can be read at once
    async with running_manager(tmp_path / "book") as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        for _ in range(3):
            connection_id = await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.manager.participants.close(harness.claims(stage, "V"), connection_id=connection_id)
        await harness.settled()
        (viewer,) = (each for each in open_participants(harness, stage) if each.record.participant_id == "V")
        assert [event.event.name for event in viewer.events] == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STARTED"]

    async with running_manager(tmp_path / "book") as harness:
        assert await harness.events(stage, "V") == [
            "JOINED",
            *["SUBSCRIBE_STARTED(P)"] * 3,
            *["SUBSCRIBE_STOPPED(P)"] * 3,
            "LEFT",
        ]
        assert open_participants(harness, stage) == []


def open_participants(harness: ManagerHarness, stage: Stage) -> list[OpenParticipant]:
    return harness.book.list_open_participants(stage.arn, harness.session_id(stage), after=None, limit=9).items


async def test_a_session_that_only_lingered_ends_when_its_linger_was_over(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        stage = await harness.stage()
        connection_id = await harness.publish(harness.claims(stage, "P"))
        clock.ms += 7_000
        left_ms = clock.ms
        await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)
    clock.ms += 60_000

    async with running_manager(tmp_path / "book", clock=clock) as harness:
        session = harness.book.get_session(stage.arn, harness.session_id(stage))

        assert session is not None
        assert session.end_ms == left_ms + LINGER_MS


async def test_a_clean_stop_leaves_nothing_to_recover(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        await harness.manager.shutdown()

    async with running_manager(tmp_path / "book") as harness:
        assert await harness.manager.start() == 0
        assert len(await harness.events(stage, "P")) == 4
