"""CreateStorageConfiguration, GetStorageConfiguration, ListStorageConfigurations, DeleteStorageConfiguration."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.limits import RELAXED, STRICT, Limits
from tests.api.aws.operations.house import ACCOUNT_ID, Json, ManagerHarness, open_house

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/abcdABCDefgh"
BUCKET = "amzn-s3-demo-bucket"


async def create(house: ManagerHarness, **members: Json) -> Json:
    answer = await house.call("CreateStorageConfiguration", **{"s3": {"bucketName": BUCKET}, **members})
    return answer["storageConfiguration"]


async def test_a_new_configuration_is_shown_whole(house: ManagerHarness) -> None:
    made = await create(house, name="test-sc", tags={"team": "blue"})
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/[0-9A-Za-z]{{12}}", made["arn"])
    assert made == {
        "arn": made["arn"],
        "name": "test-sc",
        "s3": {"bucketName": BUCKET},
        "tags": {"team": "blue"},
    }
    assert await house.call("GetStorageConfiguration", arn=made["arn"]) == {"storageConfiguration": made}
    assert await house.call("ListStorageConfigurations") == {"storageConfigurations": [made]}


async def test_the_name_may_be_absent_and_need_not_be_unique(house: ManagerHarness) -> None:
    assert [(await create(house))["name"] for _ in range(2)] == ["", ""]


@pytest.mark.parametrize("name", ["ab", "a" * 64, "Bucket", "a_b", "a/b", ""])
async def test_a_malformed_bucket_name_is_refused(house: ManagerHarness, name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(house, s3={"bucketName": name})
    assert refused.value.member == "s3.bucketName"


async def test_reserved_tags_are_refused(house: ManagerHarness) -> None:
    with pytest.raises(InvalidInputError, match="tags"):
        await create(house, tags={"aws:team": "blue"})


async def test_a_list_is_in_order_of_creation(house: ManagerHarness) -> None:
    made = [await create(house, name=f"sc{number}") for number in range(5)]
    pages = await house.pages("ListStorageConfigurations", "storageConfigurations", maxResults=2)
    assert pages == [made[:2], made[2:4], made[4:]]


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [(RELAXED, [100, 1]), (msgspec.structs.replace(STRICT, storage_configurations=101), [100, 1]), (STRICT, [5])],
)
async def test_a_page_has_the_quota_or_a_hundred_by_default(tmp_path: Path, limits: Limits, sizes: list[int]) -> None:
    async with open_house(tmp_path, limits=limits) as house:
        await asyncio.gather(*(create(house) for _ in range(sum(sizes))))
        pages = await house.pages("ListStorageConfigurations", "storageConfigurations")
        assert [len(page) for page in pages] == sizes


async def test_a_deleted_configuration_is_gone(house: ManagerHarness) -> None:
    arn = (await create(house))["arn"]
    assert await house.call("DeleteStorageConfiguration", arn=arn) is None
    for operation in ("GetStorageConfiguration", "DeleteStorageConfiguration"):
        with pytest.raises(ResourceNotFoundError, match=arn):
            await house.call(operation, arn=arn)


@pytest.mark.parametrize("operation", ["GetStorageConfiguration", "DeleteStorageConfiguration"])
async def test_an_unknown_configuration_is_not_found(house: ManagerHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=UNKNOWN_ARN):
        await house.call(operation, arn=UNKNOWN_ARN)


async def test_accounts_do_not_see_each_others(house: ManagerHarness) -> None:
    await create(house)
    assert (await house.call("ListStorageConfigurations", account_id="210987654321"))["storageConfigurations"] == []
