"""Stages, tags and tokens."""

from pathlib import Path

import msgspec
import pytest

from stagebook.stage.claims import TokenSpec
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Capability
from tests.manager.house import ACCOUNT, REGION, ManagerHarness, running_house

NOWHERE = f"arn:aws:ivs:{REGION}:{ACCOUNT}:stage/nowherenowhe"


async def test_a_stage_is_created_with_its_first_tokens(house: ManagerHarness) -> None:
    specs = [TokenSpec(user_id="ann"), TokenSpec(capabilities=(Capability.SUBSCRIBE,), duration_minutes=5)]

    stage, tokens = await house.manager.create_stage(
        account_id=ACCOUNT, name="studio", tags={"team": "a"}, recording={}, tokens=specs
    )

    assert house.book.get_stage(stage.arn) == stage
    assert [token.spec for token in tokens] == specs
    ann, viewer = (house.manager.admit(token.token) for token in tokens)
    assert (ann.user_id, ann.capabilities) == ("ann", frozenset(Capability))
    assert viewer.capabilities == frozenset({Capability.SUBSCRIBE})
    assert tokens[1].expiration_ms == (house.clock.ms // 1000 + 300) * 1000


async def test_a_token_lives_twelve_hours_unless_told(house: ManagerHarness) -> None:
    stage = await house.stage()

    minted = await house.manager.create_participant_token(stage_arn=stage.arn, spec=TokenSpec())

    assert minted.expiration_ms // 1000 - house.clock.ms // 1000 == 12 * 3_600


async def test_a_stage_keeps_what_an_update_does_not_name(house: ManagerHarness) -> None:
    stage = await house.stage("first")

    changed = await house.manager.update_stage(stage_arn=stage.arn, name="second", recording=None)

    assert changed == msgspec.structs.replace(stage, name="second")
    assert house.book.get_stage(stage.arn) == changed


async def test_attributes_have_at_most_a_kilobyte(house: ManagerHarness) -> None:
    stage = await house.stage()
    exactly = TokenSpec(attributes={"k": "ä" * 511 + "x"})
    beyond = TokenSpec(attributes={"k": "ä" * 512})

    await house.manager.create_participant_token(stage_arn=stage.arn, spec=exactly)

    with pytest.raises(InvalidInputError, match="attributes"):
        await house.manager.create_participant_token(stage_arn=stage.arn, spec=beyond)


async def test_stages_have_a_quota(tmp_path: Path) -> None:
    async with running_house(tmp_path / "book", limits=msgspec.structs.replace(RELAXED, stages=1)) as house:
        stage = await house.stage()
        with pytest.raises(ServiceQuotaExceededError):
            await house.stage()

        await house.manager.delete_stage(stage_arn=stage.arn)

        await house.stage()


async def test_tags_are_added_replaced_and_removed(house: ManagerHarness) -> None:
    stage = await house.stage()

    await house.manager.add_tags(arn=stage.arn, tags={"a": "1", "b": "1"})
    await house.manager.add_tags(arn=stage.arn, tags={"b": "2"})
    await house.manager.remove_tags(arn=stage.arn, keys=["a", "unknown"])

    kept = house.book.get_stage(stage.arn)
    assert kept is not None
    assert kept.tags == {"b": "2"}


@pytest.mark.parametrize("tags", [{f"k{number}": "" for number in range(51)}, {"aws:mine": "x"}, {"AWS:mine": "x"}])
async def test_tags_have_rules(house: ManagerHarness, tags: dict[str, str]) -> None:
    stage = await house.stage()

    with pytest.raises(InvalidInputError, match="tags"):
        await house.manager.add_tags(arn=stage.arn, tags=tags)


async def test_what_does_not_exist_is_not_found(house: ManagerHarness) -> None:
    manager = house.manager
    for attempt in (
        manager.update_stage(stage_arn=NOWHERE, name="x", recording=None),
        manager.delete_stage(stage_arn=NOWHERE),
        manager.create_participant_token(stage_arn=NOWHERE, spec=TokenSpec()),
        manager.disconnect_participant(stage_arn=NOWHERE, participant_id="P", reason=""),
        manager.add_tags(arn=NOWHERE, tags={}),
        manager.remove_tags(arn=NOWHERE, keys=[]),
    ):
        with pytest.raises(ResourceNotFoundError):
            await attempt
