"""How replications end: with their publisher, either stage, the server, and across a crash."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.stage.events import Cause
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import ParticipantState, ReplicationState
from tests.manager.manager_harness import CLIENT, ManagerHarness, SettableClock, Watcher, running_manager
from tests.manager.replicated_pair import (
    ENDED_HERE,
    ENDED_THERE,
    GIVEN_UP_HERE,
    GIVEN_UP_THERE,
    REPLICATED,
    SHOWN,
    WATCHED,
    Pair,
    Transactions,
    make_pair,
)


@pytest.fixture
async def pair(harness: ManagerHarness) -> Pair:
    return await make_pair(harness)


async def test_without_a_window_all_ends_with_the_publication_at_once(pair: Pair) -> None:
    await pair.start()
    await pair.watch()
    transactions = Transactions(pair.harness.book)

    await pair.leave()

    assert await pair.told(pair.here) == ENDED_HERE
    assert await pair.told(pair.there) == ENDED_THERE
    assert await pair.told(pair.there, "V") == WATCHED
    assert transactions.stages == [{pair.here.arn, pair.there.arn}]
    assert await pair.states() == ["STOPPED"]
    assert await pair.causes(pair.here, 3) == await pair.causes(pair.there, 2) == {Cause.CLIENT}


async def test_a_publisher_who_stays_on_its_stage_has_only_stopped(pair: Pair) -> None:
    harness = pair.harness
    await harness.manager.participants.open_events(harness.claims(pair.here, "P"), watcher=Watcher(), client=CLIENT)
    await pair.start()

    harness.engine.lose(pair.publication)

    assert await pair.told(pair.here) == [*REPLICATED, "PUBLISH_STOPPED", "REPLICATION_STOPPED>there"]


async def test_a_publisher_who_replaces_its_connection_keeps_its_replicas(pair: Pair) -> None:
    await pair.start()
    await pair.watch()

    await pair.come_back()

    assert await pair.told(pair.here) == REPLICATED
    assert await pair.told(pair.there) == SHOWN
    assert await pair.told(pair.there, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)*"]
    assert pair.harness.engine.ended_sources == []


async def test_a_publication_that_broke_a_limit_is_not_waited_for(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=STRICT) as harness:
        pair = await make_pair(harness)
        await pair.start(window_seconds=30)
        await pair.watch()

        harness.engine.measure(pair.publication, width=1_920, height=1_080)

        stopped = ["PUBLISH_ERROR:RESOLUTION_EXCEEDED", "PUBLISH_STOPPED", "REPLICATION_STOPPED>there", "LEFT"]
        assert await pair.told(pair.here) == [*REPLICATED, *stopped]
        assert await pair.told(pair.there) == ENDED_THERE
        assert await pair.told(pair.there, "V") == WATCHED


async def test_the_longest_duration_of_the_source_ends_its_replicas(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        pair = await make_pair(harness)
        await pair.start(window_seconds=30)

        harness.clock.ms += 60_000
        harness.manager.tick()

        assert (await pair.told(pair.here))[3] == "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED"
        assert await pair.told(pair.there) == ENDED_THERE


async def test_a_viewer_of_its_own_that_source_leaves_is_no_end(pair: Pair) -> None:
    harness = pair.harness
    await pair.start()
    own = await harness.subscribe(harness.claims(pair.here, "P"), "P")

    await harness.manager.participants.close(harness.claims(pair.here, "P"), connection_id=own)

    assert await pair.told(pair.there) == SHOWN


async def disconnect_source(pair: Pair) -> None:
    await pair.harness.manager.stages.disconnect_participant(
        stage_arn=pair.here.arn, participant_id="P", reason="enough"
    )


async def disconnect_replica(pair: Pair) -> None:
    await pair.harness.manager.stages.disconnect_participant(
        stage_arn=pair.there.arn, participant_id="P", reason="enough"
    )


async def delete_source(pair: Pair) -> None:
    await pair.harness.manager.stages.delete(stage_arn=pair.here.arn)


async def delete_destination(pair: Pair) -> None:
    await pair.harness.manager.stages.delete(stage_arn=pair.there.arn)


async def test_who_is_disconnected_is_not_waited_for(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.watch()
    transactions = Transactions(pair.harness.book)

    await disconnect_source(pair)

    assert await pair.told(pair.here) == ENDED_HERE
    assert await pair.told(pair.there) == ENDED_THERE
    assert await pair.told(pair.there, "V") == WATCHED
    assert transactions.stages == [{pair.here.arn, pair.there.arn}]
    assert await pair.causes(pair.there, 2) == {Cause.DISCONNECTED_BY_API}


async def test_who_is_disconnected_while_it_is_awaited_is_awaited_no_longer(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.leave()

    await disconnect_source(pair)

    assert await pair.told(pair.here) == GIVEN_UP_HERE
    assert await pair.told(pair.there) == GIVEN_UP_THERE


async def test_disconnecting_the_replica_ends_the_replication_and_nothing_at_the_source(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.watch()
    transactions = Transactions(pair.harness.book)

    await disconnect_replica(pair)

    assert await pair.told(pair.here) == [*REPLICATED, "REPLICATION_STOPPED>there"]
    assert await pair.told(pair.there) == ENDED_THERE
    assert await pair.told(pair.there, "V") == WATCHED
    assert transactions.stages == [{pair.here.arn, pair.there.arn}]
    assert pair.harness.engine.ended_sources == []
    await pair.start()
    assert await pair.told(pair.there) == [*ENDED_THERE, *SHOWN]


async def test_a_waiting_replica_can_be_disconnected(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.leave()

    await disconnect_replica(pair)

    assert await pair.told(pair.here) == GIVEN_UP_HERE
    assert await pair.told(pair.there) == GIVEN_UP_THERE


@pytest.mark.parametrize(
    ("delete", "is_awaited", "here", "there"),
    [
        (delete_source, False, ENDED_HERE, ENDED_THERE),
        (delete_source, True, GIVEN_UP_HERE, GIVEN_UP_THERE),
        (delete_destination, False, [*REPLICATED, "REPLICATION_STOPPED>there"], ENDED_THERE),
        (delete_destination, True, GIVEN_UP_HERE, GIVEN_UP_THERE),
    ],
)
async def test_a_deleted_stage_ends_both_ends_in_one_transaction(
    tmp_path: Path,
    delete: Callable[[Pair], Awaitable[None]],
    is_awaited: bool,  # noqa: FBT001 - a case
    here: list[str],
    there: list[str],
) -> None:
    async with running_manager(tmp_path / "book") as harness:
        pair = await make_pair(harness)
        await pair.start(window_seconds=30)
        await pair.watch()
        if is_awaited:
            await pair.leave()
        transactions = Transactions(harness.book)

        await delete(pair)

        assert transactions.stages == [{pair.here.arn, pair.there.arn}]
        assert harness.book.list_active_replicas() == []
        stays = pair.there if delete is delete_source else pair.here
        assert [session.stage_arn for session in harness.book.list_open_sessions()] == [stays.arn]
    harness.book = SqliteBook.open(tmp_path / "book", show_deleted_history=True)
    try:
        assert await pair.told(pair.here) == here
        assert await pair.told(pair.there) == there
        assert await pair.told(pair.there, "V") == WATCHED
    finally:
        await harness.book.close()


async def test_shutting_down_ends_replications_too(pair: Pair) -> None:
    elsewhere = await pair.harness.stage()
    await pair.start(window_seconds=30)
    await pair.start(to=elsewhere)
    await pair.watch()

    await pair.harness.manager.shutdown()

    assert (await pair.told(pair.here))[4:] == [
        "PUBLISH_STOPPED",
        "REPLICATION_STOPPED>there",
        "REPLICATION_STOPPED>elsewhere",
        "LEFT",
    ]
    assert await pair.told(pair.there) == await pair.told(elsewhere) == ENDED_THERE
    assert await pair.told(pair.there, "V") == WATCHED
    assert await pair.states() == ["STOPPED", "STOPPED"]
    assert pair.harness.book.list_open_sessions() == []
    assert await pair.causes(pair.there, 2) == {Cause.SHUTDOWN}


async def test_shutting_down_waits_for_nobody(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.leave()

    await pair.harness.manager.shutdown()

    assert await pair.told(pair.here) == GIVEN_UP_HERE
    assert await pair.told(pair.there) == GIVEN_UP_THERE
    assert pair.harness.book.list_open_sessions() == []


@pytest.mark.parametrize("is_awaited", [False, True])
async def test_after_a_crash_both_ends_are_closed_once(tmp_path: Path, is_awaited: bool) -> None:  # noqa: FBT001 - a case
    clock = SettableClock()
    async with running_manager(tmp_path / "book", clock=clock) as harness:
        pair = await make_pair(harness)
        bystander = await harness.stage()
        await harness.publish(harness.claims(bystander, "Q"))
        await pair.start(window_seconds=300)
        await pair.watch()
        if is_awaited:
            await pair.leave()
        await harness.settled()
    clock.ms += 60_000

    for _ in range(2):
        async with running_manager(tmp_path / "book", clock=clock) as harness:
            pair.harness = harness
            here, there = await pair.told(pair.here), await pair.told(pair.there)
            assert here == (GIVEN_UP_HERE if is_awaited else ENDED_HERE)
            assert there == ENDED_THERE
            assert await pair.told(pair.there, "V") == WATCHED
            assert await pair.states() == ["STOPPED"]
            assert harness.book.list_active_replicas() == []
            assert harness.book.list_open_sessions() == []
            assert await pair.causes(pair.here, 1) == await pair.causes(pair.there, 1) == {Cause.CRASH_RECOVERY}
            for stage in (pair.here, pair.there):
                row = await pair.row(stage)
                assert row.replication_state is ReplicationState.STOPPED
                assert row.state is ParticipantState.DISCONNECTED


async def test_a_crash_is_recovered_from_in_one_transaction_for_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_manager(tmp_path / "book") as harness:
        pair = await make_pair(harness)
        bystander = await harness.stage()
        await harness.publish(harness.claims(bystander, "Q"))
        await pair.start()
    book = SqliteBook.open(tmp_path / "book")
    transactions = Transactions(book)
    monkeypatch.setattr("tests.manager.manager_harness.SqliteBook.open", lambda _path: book)

    async with running_manager(tmp_path / "book"):
        pass

    assert sorted(transactions.stages, key=len) == [{bystander.arn}, {pair.here.arn, pair.there.arn}]
