"""Ids that follow from a seed, and what happens when they exist already."""

from pathlib import Path

from stagebook.manager.controlled.seeded_ids import SeededIds
from stagebook.stage.resources import Stage
from tests.manager.manager_harness import ACCOUNT, CLIENT, ManagerHarness, SeededRandomness, running_manager


def drawn(ids: SeededIds) -> tuple[list[bytes], list[bytes]]:
    return (
        [ids.of_resources.token_bytes(16) for _ in range(3)],
        [ids.of_connections.token_bytes(16) for _ in range(3)],
    )


def test_the_same_seed_makes_the_same_ids_in_two_servers() -> None:
    one, other = SeededIds(SeededRandomness(1)), SeededIds(SeededRandomness(2))
    assert drawn(one) != drawn(other)

    one.set_seed(7)
    other.set_seed(7)

    assert drawn(one) == drawn(other)
    assert len({*drawn(one)[0], *drawn(other)[1]}) == 6


def test_the_same_seed_again_makes_the_same_ids_of_resources_and_others_of_connections() -> None:
    ids = SeededIds(SeededRandomness())
    ids.set_seed(7)
    resources, connections = drawn(ids)

    ids.set_seed(7)
    again = drawn(ids)

    assert again[0] == resources
    assert not set(again[1]) & set(connections)


def test_other_seeds_make_other_ids() -> None:
    ids = SeededIds(SeededRandomness())
    ids.set_seed(7)
    first = drawn(ids)[0]
    ids.set_seed(8)

    assert not set(drawn(ids)[0]) & set(first)


def test_without_a_seed_ids_are_random_again() -> None:
    ids = SeededIds(SeededRandomness())
    ids.set_seed(7)
    first = drawn(ids)[0]
    ids.set_seed(None)

    assert not set(drawn(ids)[0]) & set(first)


async def story(harness: ManagerHarness, account_id: str) -> list[str]:
    """Make one of everything that has an id; return the ids without the account."""
    manager = harness.manager
    stage, _ = await manager.stages.create(account_id=account_id, name="", tags={}, recording={}, tokens=[])
    encoder = await manager.configurations.create_encoder(
        account_id=account_id, tags={}, width=640, height=360, framerate=30, bitrate_bps=1_000_000
    )
    claims = harness.claims(stage, f"P{account_id}")
    await manager.participants.publish(claims, offer="offer", client=CLIENT)
    await harness.settled()
    session_id = harness.book.list_sessions(stage.arn, after=None, limit=1).items[0].session_id
    return [text.replace(account_id, "") for text in (stage.arn, encoder.arn, session_id)]


async def test_the_same_seed_in_two_accounts_makes_equal_ids_while_both_are_connected(tmp_path: Path) -> None:
    ids = SeededIds(SeededRandomness())
    async with running_manager(tmp_path / "book", ids=ids) as harness:
        ids.set_seed(7)
        first = await story(harness, ACCOUNT)
        ids.set_seed(7)

        assert await story(harness, "210987654321") == first
        assert harness.manager.live.totals().publishers == 2


async def test_ids_that_exist_in_an_account_are_passed_over(tmp_path: Path) -> None:
    ids = SeededIds(SeededRandomness())
    async with running_manager(tmp_path / "book", ids=ids) as harness:
        ids.set_seed(7)
        first = await story(harness, ACCOUNT)
        ids.set_seed(7)
        second = await story(harness, ACCOUNT)

        assert not set(second) & set(first)
        assert harness.manager.live.totals().publishers == 2


async def test_the_id_of_a_deleted_stage_is_passed_over(tmp_path: Path) -> None:
    ids = SeededIds(SeededRandomness())
    async with running_manager(tmp_path / "book", ids=ids) as harness:
        ids.set_seed(7)
        stage = await harness.stage()
        await harness.manager.stages.delete(stage_arn=stage.arn)
        ids.set_seed(7)

        assert (await harness.stage()).arn != stage.arn


async def test_the_id_of_an_ended_session_is_passed_over(tmp_path: Path) -> None:
    ids = SeededIds(SeededRandomness())
    async with running_manager(tmp_path / "book", ids=ids) as harness:
        stage = await harness.stage()
        ids.set_seed(7)
        first = await one_session(harness, stage)
        ids.set_seed(7)

        assert await one_session(harness, stage) != first


async def one_session(harness: ManagerHarness, stage: Stage) -> str:
    """Let a publisher come and go, and the session end; return its id."""
    claims = harness.claims(stage, "P")
    connection_id = await harness.publish(claims)
    await harness.manager.participants.close(claims, connection_id=connection_id)
    session_id = harness.session_id(stage)
    harness.clock.ms += 60_000
    harness.manager.tick()
    await harness.settled()
    return session_id
