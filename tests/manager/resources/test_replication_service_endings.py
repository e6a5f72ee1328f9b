"""How replications end: with their publisher, either stage, the server, and across a crash."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.events import Cause
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import ParticipantState, ReplicationState
from tests.book.sample import open_book
from tests.manager.manager_harness import (
    CLIENT,
    ManagerHarness,
    SettableClock,
    Watcher,
    open_managed_book,
    running_manager,
)
from tests.manager.replicated_pair import (
    REPLICA_ENDED,
    REPLICA_PUBLISHED,
    REPLICA_WINDOW_CLOSED,
    REPLICATED,
    SOURCE_ENDED,
    SOURCE_WINDOW_CLOSED,
    WATCHED,
    Pair,
    Transactions,
    make_pair,
)


@pytest.fixture
async def pair(harness: ManagerHarness) -> Pair:
    return await make_pair(harness)


async def test_a_replication_without_a_window_ends_with_its_publication(pair: Pair) -> None:
    await pair.start()
    await pair.watch()
    transactions = Transactions(pair.harness.book)

    await pair.unpublish()

    assert await pair.events(pair.source) == SOURCE_ENDED
    assert await pair.events(pair.destination) == REPLICA_ENDED
    assert await pair.events(pair.destination, "V") == WATCHED
    assert transactions.stages == [{pair.source.arn, pair.destination.arn}]
    assert await pair.states() == ["STOPPED"]
    assert await pair.causes(pair.source, 3) == await pair.causes(pair.destination, 2) == {Cause.CLIENT}


async def test_a_publisher_with_a_websocket_stays_when_its_publication_ends(pair: Pair) -> None:
    harness = pair.harness
    await harness.manager.participants.open_events(harness.claims(pair.source, "P"), watcher=Watcher(), client=CLIENT)
    await pair.start()

    harness.engine.lose(pair.publication)

    assert await pair.events(pair.source) == [*REPLICATED, "PUBLISH_STOPPED", "REPLICATION_STOPPED>destination"]


async def test_a_publisher_that_replaces_its_connection_keeps_its_replicas(pair: Pair) -> None:
    await pair.start()
    await pair.watch()

    await pair.publish_again()

    assert await pair.events(pair.source) == REPLICATED
    assert await pair.events(pair.destination) == REPLICA_PUBLISHED
    assert await pair.events(pair.destination, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)*"]
    assert pair.harness.engine.ended_sources == []


async def test_a_replication_does_not_wait_for_a_publication_that_broke_a_limit(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=STRICT) as harness:
        pair = await make_pair(harness)
        await pair.start(window_seconds=30)
        await pair.watch()

        harness.engine.measure(pair.publication, width=1_920, height=1_080)

        stopped = ["PUBLISH_ERROR:RESOLUTION_EXCEEDED", "PUBLISH_STOPPED", "REPLICATION_STOPPED>destination", "LEFT"]
        assert await pair.events(pair.source) == [*REPLICATED, *stopped]
        assert await pair.events(pair.destination) == REPLICA_ENDED
        assert await pair.events(pair.destination, "V") == WATCHED


async def test_the_maximum_duration_of_the_source_ends_its_replicas(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, duration_seconds=60)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        pair = await make_pair(harness)
        await pair.start(window_seconds=30)

        harness.clock.ms += 60_000
        harness.manager.tick()

        assert (await pair.events(pair.source))[3] == "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED"
        assert await pair.events(pair.destination) == REPLICA_ENDED


async def test_a_subscription_of_the_source_to_itself_can_end_alone(pair: Pair) -> None:
    harness = pair.harness
    await pair.start()
    own = await harness.subscribe(harness.claims(pair.source, "P"), "P")

    await harness.manager.participants.close(harness.claims(pair.source, "P"), connection_id=own)

    assert await pair.events(pair.destination) == REPLICA_PUBLISHED


async def disconnect_source(pair: Pair) -> None:
    await pair.harness.manager.stages.disconnect_participant(
        stage_arn=pair.source.arn, participant_id="P", reason="enough"
    )


async def disconnect_replica(pair: Pair) -> None:
    await pair.harness.manager.stages.disconnect_participant(
        stage_arn=pair.destination.arn, participant_id="P", reason="enough"
    )


async def delete_source(pair: Pair) -> None:
    await pair.harness.manager.stages.delete(stage_arn=pair.source.arn)


async def delete_destination(pair: Pair) -> None:
    await pair.harness.manager.stages.delete(stage_arn=pair.destination.arn)


async def test_a_replication_does_not_wait_for_a_disconnected_publisher(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.watch()
    transactions = Transactions(pair.harness.book)

    await disconnect_source(pair)

    assert await pair.events(pair.source) == SOURCE_ENDED
    assert await pair.events(pair.destination) == REPLICA_ENDED
    assert await pair.events(pair.destination, "V") == WATCHED
    assert transactions.stages == [{pair.source.arn, pair.destination.arn}]
    assert await pair.causes(pair.destination, 2) == {Cause.DISCONNECTED_BY_API}


async def test_disconnecting_an_awaited_publisher_ends_its_replications(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.unpublish()

    await disconnect_source(pair)

    assert await pair.events(pair.source) == SOURCE_WINDOW_CLOSED
    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED


async def test_disconnecting_the_replica_ends_the_replication_and_nothing_at_the_source(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.watch()
    transactions = Transactions(pair.harness.book)

    await disconnect_replica(pair)

    assert await pair.events(pair.source) == [*REPLICATED, "REPLICATION_STOPPED>destination"]
    assert await pair.events(pair.destination) == REPLICA_ENDED
    assert await pair.events(pair.destination, "V") == WATCHED
    assert transactions.stages == [{pair.source.arn, pair.destination.arn}]
    assert pair.harness.engine.ended_sources == []
    await pair.start()
    assert await pair.events(pair.destination) == [*REPLICA_ENDED, *REPLICA_PUBLISHED]


async def test_a_paused_replica_can_be_disconnected(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.unpublish()

    await disconnect_replica(pair)

    assert await pair.events(pair.source) == SOURCE_WINDOW_CLOSED
    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED


@pytest.mark.parametrize(
    ("delete", "is_awaited", "here", "there"),
    [
        (delete_source, False, SOURCE_ENDED, REPLICA_ENDED),
        (delete_source, True, SOURCE_WINDOW_CLOSED, REPLICA_WINDOW_CLOSED),
        (delete_destination, False, [*REPLICATED, "REPLICATION_STOPPED>destination"], REPLICA_ENDED),
        (delete_destination, True, SOURCE_WINDOW_CLOSED, REPLICA_WINDOW_CLOSED),
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
            await pair.unpublish()
        transactions = Transactions(harness.book)

        await delete(pair)

        assert transactions.stages == [{pair.source.arn, pair.destination.arn}]
        assert harness.book.list_active_replicas() == []
        stays = pair.destination if delete is delete_source else pair.source
        assert [session.stage_arn for session in harness.book.list_open_sessions()] == [stays.arn]
    harness.book = open_book(tmp_path / "book", show_deleted_history=True)
    try:
        assert await pair.events(pair.source) == here
        assert await pair.events(pair.destination) == there
        assert await pair.events(pair.destination, "V") == WATCHED
    finally:
        await harness.book.close()


async def test_a_shutdown_ends_replications(pair: Pair) -> None:
    elsewhere = await pair.harness.stage()
    await pair.start(window_seconds=30)
    await pair.start(to=elsewhere)
    await pair.watch()

    await pair.harness.manager.shutdown()

    assert (await pair.events(pair.source))[4:] == [
        "PUBLISH_STOPPED",
        "REPLICATION_STOPPED>destination",
        "REPLICATION_STOPPED>elsewhere",
        "LEFT",
    ]
    assert await pair.events(pair.destination) == await pair.events(elsewhere) == REPLICA_ENDED
    assert await pair.events(pair.destination, "V") == WATCHED
    assert await pair.states() == ["STOPPED", "STOPPED"]
    assert pair.harness.book.list_open_sessions() == []
    assert await pair.causes(pair.destination, 2) == {Cause.SHUTDOWN}


async def test_a_shutdown_ends_replications_that_wait_for_their_publisher(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.unpublish()

    await pair.harness.manager.shutdown()

    assert await pair.events(pair.source) == SOURCE_WINDOW_CLOSED
    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED
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
            await pair.unpublish()
        await harness.settled()
    clock.ms += 60_000

    for _ in range(2):
        async with running_manager(tmp_path / "book", clock=clock) as harness:
            pair.harness = harness
            here, there = await pair.events(pair.source), await pair.events(pair.destination)
            assert here == (SOURCE_WINDOW_CLOSED if is_awaited else SOURCE_ENDED)
            assert there == REPLICA_ENDED
            assert await pair.events(pair.destination, "V") == WATCHED
            assert await pair.states() == ["STOPPED"]
            assert harness.book.list_active_replicas() == []
            assert harness.book.list_open_sessions() == []
            assert await pair.causes(pair.source, 1) == await pair.causes(pair.destination, 1) == {Cause.CRASH_RECOVERY}
            for stage in (pair.source, pair.destination):
                row = await pair.row(stage)
                assert row.replication_state is ReplicationState.STOPPED
                assert row.state is ParticipantState.DISCONNECTED


async def test_recovery_closes_both_ends_in_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_manager(tmp_path / "book") as harness:
        pair = await make_pair(harness)
        bystander = await harness.stage()
        await harness.publish(harness.claims(bystander, "Q"))
        await pair.start()
    book = open_managed_book(tmp_path / "book")
    transactions = Transactions(book)
    monkeypatch.setattr("tests.manager.manager_harness.open_managed_book", lambda _path: book)

    async with running_manager(tmp_path / "book"):
        pass

    assert sorted(transactions.stages, key=len) == [{bystander.arn}, {pair.source.arn, pair.destination.arn}]
