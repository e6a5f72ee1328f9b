"""Importing, finding and deleting public keys."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.manager.resources.public_key_service import KeyRing
from stagebook.manager.tokens.key_material import fingerprint, read_material
from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import PublicKey
from tests.clients.own_key import OwnKey
from tests.manager.manager_harness import ACCOUNT, ManagerHarness, running_manager

OTHER_ACCOUNT = "210987654321"


async def import_key(
    harness: ManagerHarness, key: OwnKey, *, account_id: str = ACCOUNT, material: str | None = None
) -> PublicKey:
    return await harness.manager.public_keys.import_key(
        account_id=account_id, name="studio", tags={"team": "blue"}, material=material or key.public_pem
    )


async def test_a_key_is_stored_as_it_was_given(harness: ManagerHarness) -> None:
    own = OwnKey()
    material = f"made in spring\n{own.public_pem}".replace("\n", "\r\n")
    key = await import_key(harness, own, material=material)
    assert harness.book.get_resource(key.arn) == key
    assert (key.name, key.tags, key.material) == ("studio", {"team": "blue"}, material)
    assert key.fingerprint == fingerprint(own.private.public_key())
    assert key.created_ms == harness.clock.ms


async def test_the_key_ring_finds_it_until_it_is_deleted(harness: ManagerHarness) -> None:
    own = OwnKey()
    ring = KeyRing(harness.book)
    key = await import_key(harness, own)
    found = ring.find(key.arn)
    assert found is not None
    assert found.public_numbers() == read_material(own.public_pem).public_numbers()
    await harness.manager.public_keys.delete(arn=key.arn)
    assert ring.find(key.arn) is None
    with pytest.raises(ResourceNotFoundError):
        await harness.manager.public_keys.delete(arn=key.arn)


async def test_other_resources_are_not_found_as_public_keys(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    assert KeyRing(harness.book).find(stage.arn) is None
    with pytest.raises(ResourceNotFoundError):
        await harness.manager.public_keys.delete(arn=stage.arn)


async def test_each_account_can_import_a_key_once_in_any_form(harness: ManagerHarness) -> None:
    own = OwnKey()
    key = await import_key(harness, own)
    for material in (own.public_pem, own.public_pem.replace("\n", "\r\n"), f"again {own.public_pem}"):
        with pytest.raises(ConflictError, match=key.arn):
            await import_key(harness, own, material=material)
    await import_key(harness, own, account_id=OTHER_ACCOUNT)
    await harness.manager.public_keys.delete(arn=key.arn)
    assert (await import_key(harness, own)).arn != key.arn


async def test_two_imports_of_one_key_at_once_create_one_resource(harness: ManagerHarness) -> None:
    own = OwnKey()
    made = await asyncio.gather(import_key(harness, own), import_key(harness, own), return_exceptions=True)
    assert sorted(type(each).__name__ for each in made) == ["ConflictError", "PublicKey"]
    assert harness.book.count_resources(ACCOUNT, "public-key") == 1


async def test_a_key_that_is_being_deleted_can_be_imported_and_deleted_once(harness: ManagerHarness) -> None:
    own = OwnKey()
    key = await import_key(harness, own)
    made = await asyncio.gather(
        harness.manager.public_keys.delete(arn=key.arn),
        harness.manager.public_keys.delete(arn=key.arn),
        import_key(harness, own),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in made] == ["NoneType", "ResourceNotFoundError", "PublicKey"]


async def test_the_quota_holds_also_for_imports_at_once(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=replace(RELAXED, public_keys=2)) as harness:
        made = await asyncio.gather(*(import_key(harness, OwnKey()) for _ in range(4)), return_exceptions=True)
        keys = [each for each in made if isinstance(each, PublicKey)]
        assert len(keys) == 2
        assert sum(isinstance(each, ServiceQuotaExceededError) for each in made) == 2
        await import_key(harness, OwnKey(), account_id=OTHER_ACCOUNT)
        await harness.manager.public_keys.delete(arn=keys[0].arn)
        await import_key(harness, OwnKey())


async def test_invalid_material_and_tags_are_refused(harness: ManagerHarness) -> None:
    with pytest.raises(InvalidInputError):
        await import_key(harness, OwnKey(), material="no key")
    with pytest.raises(InvalidInputError):
        await harness.manager.public_keys.import_key(
            account_id=ACCOUNT, name="", tags={"aws:x": ""}, material=OwnKey().public_pem
        )
    assert harness.book.count_resources(ACCOUNT, "public-key") == 0
