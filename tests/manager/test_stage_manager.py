"""The shutdown of the manager, and its timers: stream durations and the linger of sessions."""

from pathlib import Path

import msgspec

from stagebook.book.book_values import ParticipantFilter
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import ParticipantState
from tests.manager.manager_harness import CLIENT, LINGER_MS, ManagerHarness, Watcher, running_manager


async def test_a_shutdown_disconnects_all_participants_and_sends_the_reason(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    watcher = Watcher()
    await harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=watcher, client=CLIENT)
    await harness.publish(harness.claims(stage, "P"))

    await harness.manager.shutdown()

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await harness.events(stage, "W") == ["JOINED", "LEFT"]
    assert watcher.farewells == [(FarewellReason.SHUTDOWN, "")]
    assert harness.book.list_open_sessions() == []


async def test_streams_end_after_the_maximum_duration(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        harness.clock.ms += 30_000
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.manager.participants.open_events(harness.claims(stage, "V"), watcher=Watcher(), client=CLIENT)

        harness.clock.ms += 31_000
        harness.manager.tick()

        assert (await harness.events(stage, "P"))[2:] == [
            "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
        assert await harness.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]


async def test_a_subscription_ends_after_the_maximum_duration(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        stage = await harness.stage()
        publication = await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        harness.clock.ms += 59_000
        replacement = await harness.publish(harness.claims(stage, "P"))

        harness.clock.ms += 1_000
        harness.manager.tick()

        assert publication != replacement
        assert (await harness.events(stage, "V"))[2] == "SUBSCRIBE_ERROR:STREAM_DURATION_EXCEEDED(P)"
        assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_a_session_ends_one_linger_after_the_last_left_however_late_the_timer_is(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    publication = await harness.publish(harness.claims(stage, "P"))
    harness.clock.ms += 5_000
    left_ms = harness.clock.ms
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=publication)
    harness.manager.tick()
    active = harness.book.get_stage(stage.arn)

    harness.clock.ms += 60_000
    harness.manager.tick()
    await harness.settled()

    session = harness.book.get_session(stage.arn, harness.session_id(stage))
    idle = harness.book.get_stage(stage.arn)
    assert active is not None
    assert idle is not None
    assert session is not None
    assert active.active_session_id == session.session_id
    assert session.end_ms == left_ms + LINGER_MS
    assert idle.active_session_id is None


async def test_a_join_after_the_end_opens_another_session(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)
    harness.clock.ms += LINGER_MS
    harness.manager.tick()

    await harness.publish(harness.claims(stage, "P"))

    assert len(harness.book.list_sessions(stage.arn, after=None, limit=10).items) == 2
    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_a_participant_that_returns_within_a_session_keeps_its_row(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    first_ms = harness.clock.ms
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)
    await harness.settled()
    harness.clock.ms += 500

    await harness.manager.participants.open_events(harness.claims(stage, "P"), watcher=Watcher(), client=CLIENT)

    everybody = ParticipantFilter()
    page = harness.book.list_participants(stage.arn, harness.session_id(stage), where=everybody, after=None, limit=10)
    assert [(p.participant_id, p.published, p.first_join_ms, p.state) for p in page.items] == [
        ("P", True, first_ms, ParticipantState.CONNECTED)
    ]
