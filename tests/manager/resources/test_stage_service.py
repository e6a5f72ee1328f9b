"""Stages, tags and tokens."""

from pathlib import Path

import msgspec
import pytest

from stagebook.stage.claims import TokenSpec
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Capability
from tests.manager.manager_harness import ACCOUNT, REGION, ManagerHarness, running_manager

NOWHERE = f"arn:aws:ivs:{REGION}:{ACCOUNT}:stage/nowherenowhe"


async def test_a_stage_is_created_with_its_first_tokens(harness: ManagerHarness) -> None:
    specs = [TokenSpec(user_id="ann"), TokenSpec(capabilities=(Capability.SUBSCRIBE,), duration_minutes=5)]

    stage, tokens = await harness.manager.stages.create(
        account_id=ACCOUNT, name="studio", tags={"team": "a"}, recording={}, tokens=specs
    )

    assert harness.book.get_stage(stage.arn) == stage
    assert [token.spec for token in tokens] == specs
    ann, viewer = (harness.admit(token.token) for token in tokens)
    assert (ann.user_id, ann.capabilities) == ("ann", frozenset(Capability))
    assert viewer.capabilities == frozenset({Capability.SUBSCRIBE})
    assert tokens[1].expiration_ms == (harness.clock.ms // 1000 + 300) * 1000


async def test_a_token_is_valid_for_twelve_hours_by_default(harness: ManagerHarness) -> None:
    stage = await harness.stage()

    minted = harness.manager.tokens.create(stage_arn=stage.arn, spec=TokenSpec())

    assert minted.expiration_ms // 1000 - harness.clock.ms // 1000 == 12 * 3_600


async def test_an_update_keeps_members_that_it_does_not_name(harness: ManagerHarness) -> None:
    stage = await harness.stage("first")

    changed = await harness.manager.stages.update(stage_arn=stage.arn, name="second", recording=None)

    assert changed == msgspec.structs.replace(stage, name="second")
    assert harness.book.get_stage(stage.arn) == changed


async def test_attributes_have_at_most_a_kilobyte(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    exactly = TokenSpec(attributes={"k": "ä" * 511 + "x"})
    beyond = TokenSpec(attributes={"k": "ä" * 512})

    harness.manager.tokens.create(stage_arn=stage.arn, spec=exactly)

    with pytest.raises(InvalidInputError, match="attributes"):
        harness.manager.tokens.create(stage_arn=stage.arn, spec=beyond)


async def test_stages_have_a_quota(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=msgspec.structs.replace(RELAXED, stages=1)) as harness:
        stage = await harness.stage()
        with pytest.raises(ServiceQuotaExceededError):
            await harness.stage()

        await harness.manager.stages.delete(stage_arn=stage.arn)

        await harness.stage()


async def test_tags_are_added_replaced_and_removed(harness: ManagerHarness) -> None:
    stage = await harness.stage()

    await harness.manager.tags.add(arn=stage.arn, tags={"a": "1", "b": "1"})
    await harness.manager.tags.add(arn=stage.arn, tags={"b": "2"})
    await harness.manager.tags.remove(arn=stage.arn, keys=["a", "unknown"])

    kept = harness.book.get_stage(stage.arn)
    assert kept is not None
    assert kept.tags == {"b": "2"}


@pytest.mark.parametrize("tags", [{f"k{number}": "" for number in range(51)}, {"aws:mine": "x"}, {"AWS:mine": "x"}])
async def test_tags_have_rules(harness: ManagerHarness, tags: dict[str, str]) -> None:
    stage = await harness.stage()

    with pytest.raises(InvalidInputError, match="tags"):
        await harness.manager.tags.add(arn=stage.arn, tags=tags)


async def test_unknown_stages_are_not_found(harness: ManagerHarness) -> None:
    manager = harness.manager
    for attempt in (
        manager.stages.update(stage_arn=NOWHERE, name="x", recording=None),
        manager.stages.delete(stage_arn=NOWHERE),
        manager.stages.disconnect_participant(stage_arn=NOWHERE, participant_id="P", reason=""),
        manager.tags.add(arn=NOWHERE, tags={}),
        manager.tags.remove(arn=NOWHERE, keys=[]),
    ):
        with pytest.raises(ResourceNotFoundError):
            await attempt
    with pytest.raises(ResourceNotFoundError):
        manager.tokens.create(stage_arn=NOWHERE, spec=TokenSpec())
