"""The machine's wall clock is set, back or forward: event times stay in order, and no timeout depends on it."""

import itertools
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.book.book_values import ParticipantFilter, RecordedEvent
from stagebook.manager.session.event_clock import JUMP_MS
from stagebook.stage.errors import TokenRefusedError
from stagebook.stage.events import EventName
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Stage
from tests.manager.manager_harness import CLIENT, LINGER_MS, ManagerHarness, SettableClock, Watcher, running_manager
from tests.manager.replicated_pair import REPLICA_PAUSED, make_pair

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
JUMPS = pytest.mark.parametrize("jump_ms", [HOUR_MS, DAY_MS, -HOUR_MS, -DAY_MS])


def recorded(harness: ManagerHarness, stage: Stage) -> list[RecordedEvent]:
    """All events of a stage, in order of their sequence numbers."""
    found: list[RecordedEvent] = []
    for session in harness.book.list_sessions(stage.arn, after=None, limit=100).items:
        where = (stage.arn, session.session_id)
        page = harness.book.list_participants(*where, where=ParticipantFilter(), after=None, limit=100)
        for record in page.items:
            found += harness.book.list_events(*where, record.participant_id)
    return sorted(found, key=lambda entry: entry.sequence)


async def times_are_consistent(harness: ManagerHarness, stage: Stage) -> None:
    """Check the times of all sessions, participants and events of a stage against each other."""
    await harness.settled()
    for session in harness.book.list_sessions(stage.arn, after=None, limit=100).items:
        where = (stage.arn, session.session_id)
        assert session.end_ms is None or session.start_ms <= session.end_ms
        page = harness.book.list_participants(*where, where=ParticipantFilter(), after=None, limit=100)
        for record in page.items:
            entries = harness.book.list_events(*where, record.participant_id)
            joined = [entry.time_ms for entry in entries if entry.event.name is EventName.JOINED]
            assert record.first_join_ms == (joined[0] if joined else None)
            assert all(session.start_ms <= entry.time_ms for entry in entries)
            assert session.end_ms is None or all(entry.time_ms <= session.end_ms for entry in entries)
    times = [entry.time_ms for entry in recorded(harness, stage)]
    assert times == sorted(times)


async def come_and_go(harness: ManagerHarness, stage: Stage, participant_id: str) -> None:
    """Let a participant publish and leave, and the session end."""
    claims = harness.claims(stage, participant_id)
    connection_id = await harness.publish(claims)
    harness.clock.ms += 100
    await harness.manager.participants.close(claims, connection_id=connection_id)
    harness.clock.ms += LINGER_MS
    harness.manager.tick()
    await harness.settled()


@JUMPS
async def test_times_stay_consistent_over_a_restart(tmp_path: Path, jump_ms: int) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        stage = await harness.stage()
        await come_and_go(harness, stage, "A")
        await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.settled()
    clock.ms += 5_000
    clock.jump_ms = jump_ms

    async with running_manager(tmp_path / "book", clock=clock, seed=2) as harness:
        await times_are_consistent(harness, stage)
        await come_and_go(harness, stage, "P")
        await come_and_go(harness, stage, "B")
        await times_are_consistent(harness, stage)
        assert len(harness.book.list_sessions(stage.arn, after=None, limit=100).items) == 4


async def test_a_restart_with_the_clock_set_back_continues_after_the_newest_event(tmp_path: Path) -> None:
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        stage = await harness.stage()
        await harness.publish(harness.claims(stage, "P"))
        await harness.settled()
        newest_ms = harness.book.last_time_ms()
    clock.jump_ms = -HOUR_MS

    async with running_manager(tmp_path / "book", clock=clock, seed=2) as harness:
        await harness.publish(harness.claims(stage, "P"))
        await harness.settled()
        session, former = harness.book.list_sessions(stage.arn, after=None, limit=2).items
        record = harness.book.get_participant(stage.arn, session.session_id, "P")
        joined = harness.book.list_events(stage.arn, session.session_id, "P")[0]

    assert former.end_ms is not None
    assert newest_ms <= former.end_ms
    assert record is not None
    assert newest_ms <= session.start_ms == record.first_join_ms == joined.time_ms


@JUMPS
async def test_times_stay_consistent_while_the_server_runs(harness: ManagerHarness, jump_ms: int) -> None:
    stage = await harness.stage()
    await come_and_go(harness, stage, "A")
    harness.clock.jump_ms = jump_ms
    await come_and_go(harness, stage, "B")
    harness.clock.ms += 2 * JUMP_MS
    await come_and_go(harness, stage, "C")
    harness.clock.jump_ms = 0
    await come_and_go(harness, stage, "D")

    await times_are_consistent(harness, stage)
    assert len(harness.book.list_sessions(stage.arn, after=None, limit=100).items) == 4


@JUMPS
async def test_a_stream_is_cut_after_its_duration_and_not_by_a_jump(harness: ManagerHarness, jump_ms: int) -> None:
    harness.set_limits(replace(RELAXED, duration_seconds=60))
    stage = await harness.stage()
    await harness.publish(harness.claims(stage, "P"))

    harness.clock.jump_ms = jump_ms
    harness.clock.ms += 59_999
    harness.manager.tick()
    assert await harness.events(stage, "P") == PUBLISHED

    harness.clock.jump_ms = 0
    harness.clock.ms += 1
    harness.manager.tick()
    assert (await harness.events(stage, "P"))[2] == "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED"


@JUMPS
async def test_a_reconnect_window_closes_after_its_length_and_not_by_a_jump(
    harness: ManagerHarness, jump_ms: int
) -> None:
    pair = await make_pair(harness)
    await pair.start(window_seconds=30)
    await pair.unpublish()

    harness.clock.jump_ms = jump_ms
    harness.clock.ms += 29_999
    harness.manager.tick()
    assert await pair.events(pair.destination) == REPLICA_PAUSED

    harness.clock.ms += 1
    harness.manager.tick()
    assert (await pair.events(pair.destination))[-1] == "LEFT*"
    await times_are_consistent(harness, pair.source)
    await times_are_consistent(harness, pair.destination)


@JUMPS
async def test_a_session_lingers_as_long_as_ever(harness: ManagerHarness, jump_ms: int) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    await harness.manager.participants.close(claims, connection_id=await harness.publish(claims))

    harness.clock.jump_ms = jump_ms
    harness.clock.ms += LINGER_MS - 1
    harness.manager.tick()
    await harness.settled()
    assert len(harness.book.list_open_sessions()) == 1

    harness.clock.ms += 1
    harness.manager.tick()
    await harness.settled()
    assert harness.book.list_open_sessions() == []
    await times_are_consistent(harness, stage)


async def test_a_token_that_a_jump_expired_is_valid_again_when_the_clock_is_right(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    token = harness.tokens.mint(claims)
    await harness.publish(claims)

    harness.clock.jump_ms = DAY_MS
    with pytest.raises(TokenRefusedError):
        harness.admit(token)
    assert await harness.events(stage, "P") == PUBLISHED

    harness.clock.jump_ms = 0
    assert harness.admit(token) == claims


@pytest.mark.parametrize("jump_ms", [HOUR_MS, DAY_MS])
async def test_a_short_jump_forward_leaves_no_trace(harness: ManagerHarness, jump_ms: int) -> None:
    stage = await harness.stage()
    harness.clock.jump_ms = jump_ms
    await come_and_go(harness, stage, "A")
    harness.clock.ms += JUMP_MS - 10_000
    await harness.publish(harness.claims(stage, "P"))
    harness.clock.jump_ms = 0

    await harness.subscribe(harness.claims(stage, "V"), "P")
    await harness.settled()

    assert recorded(harness, stage)[-1].time_ms == harness.clock.now_ms()


@pytest.mark.parametrize("jump_ms", [HOUR_MS, DAY_MS])
async def test_a_long_jump_is_believed_and_left_again_without_standing_still(
    harness: ManagerHarness, jump_ms: int
) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "W")

    async def appear() -> int:
        """Let W open and close its events websocket; return the time of its newest event."""
        participants = harness.manager.participants
        connection_id = await participants.open_events(claims, watcher=Watcher(), client=CLIENT)
        harness.engine.lose(connection_id)
        await harness.settled()
        return harness.book.last_time_ms()

    harness.clock.jump_ms = jump_ms
    harness.clock.ms += 1
    await appear()
    harness.clock.ms += JUMP_MS
    assert await appear() == harness.clock.now_ms()

    harness.clock.jump_ms = 0
    times = []
    for _ in range(3):
        harness.clock.ms += 10_000
        times.append(await appear())
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [5_000, 5_000]

    harness.clock.ms += 2 * jump_ms
    assert await appear() == harness.clock.now_ms()
    await times_are_consistent(harness, stage)
