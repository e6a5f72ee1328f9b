"""After a stop without goodbye: one LEFT for every JOINED, with its cause, and nothing doubled."""

from pathlib import Path

from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantState
from tests.manager.house import CLIENT, LINGER_MS, SettableClock, Watcher, running_house


async def test_what_was_open_is_closed_at_the_next_start(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_house(tmp_path / "book", clock=clock) as house:
        stage = await house.stage()
        await house.publish(house.claims(stage, "P"))
        await house.subscribe(house.claims(stage, "V"), "P")
        await house.manager.open_events(house.claims(stage, "W"), watcher=Watcher(), client=CLIENT)
        await house.settled()
    clock.ms += 60_000

    for _ in range(2):
        async with running_house(tmp_path / "book", clock=clock) as house:
            assert await house.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
            assert await house.events(stage, "V") == [
                "JOINED",
                "SUBSCRIBE_STARTED(P)",
                "SUBSCRIBE_STOPPED(P)",
                "LEFT",
            ]
            assert await house.events(stage, "W") == ["JOINED", "LEFT"]
            session = house.book.get_session(stage.arn, house.session_id(stage))
            record = house.book.get_participant(stage.arn, house.session_id(stage), "P")
            left = house.book.list_events(stage.arn, house.session_id(stage), "P")[-1]
            assert session is not None
            assert session.end_ms == left.time_ms == clock.ms
            assert record is not None
            assert record.state is ParticipantState.DISCONNECTED
            assert record.published
            assert left.event.cause is Cause.CRASH_RECOVERY


async def test_a_session_that_only_lingered_ends_when_its_linger_was_over(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_house(tmp_path / "book", clock=clock) as house:
        stage = await house.stage()
        connection_id = await house.publish(house.claims(stage, "P"))
        clock.ms += 7_000
        left_ms = clock.ms
        await house.manager.close(house.claims(stage, "P"), connection_id=connection_id)
    clock.ms += 60_000

    async with running_house(tmp_path / "book", clock=clock) as house:
        session = house.book.get_session(stage.arn, house.session_id(stage))

        assert session is not None
        assert session.end_ms == left_ms + LINGER_MS


async def test_a_clean_stop_leaves_nothing_to_recover(tmp_path: Path) -> None:
    async with running_house(tmp_path / "book") as house:
        stage = await house.stage()
        await house.publish(house.claims(stage, "P"))
        await house.manager.shutdown()

    async with running_house(tmp_path / "book") as house:
        assert await house.manager.start() == 0
        assert len(await house.events(stage, "P")) == 4
