"""CreateStorageConfiguration, GetStorageConfiguration, ListStorageConfigurations, DeleteStorageConfiguration."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.limits import RELAXED, STRICT, Limits
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, AwsApiHarness, Json, open_api

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/abcdABCDefgh"
BUCKET = "amzn-s3-demo-bucket"


async def create(api: AwsApiHarness, **members: Json) -> Json:
    answer = await api.call("CreateStorageConfiguration", **{"s3": {"bucketName": BUCKET}, **members})
    return answer["storageConfiguration"]


async def test_a_new_configuration_has_all_members(api: AwsApiHarness) -> None:
    created = await create(api, name="test-sc", tags={"team": "blue"})
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/[0-9A-Za-z]{{12}}", created["arn"])
    assert created == {
        "arn": created["arn"],
        "name": "test-sc",
        "s3": {"bucketName": BUCKET},
        "tags": {"team": "blue"},
    }
    assert await api.call("GetStorageConfiguration", arn=created["arn"]) == {"storageConfiguration": created}
    assert await api.call("ListStorageConfigurations") == {"storageConfigurations": [created]}


async def test_the_name_is_optional_and_not_unique(api: AwsApiHarness) -> None:
    assert [(await create(api))["name"] for _ in range(2)] == ["", ""]


@pytest.mark.parametrize("name", ["ab", "a" * 64, "Bucket", "a_b", "a/b", ""])
async def test_a_malformed_bucket_name_is_refused(api: AwsApiHarness, name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(api, s3={"bucketName": name})
    assert refused.value.member == "s3.bucketName"


async def test_reserved_tags_are_refused(api: AwsApiHarness) -> None:
    with pytest.raises(InvalidInputError, match="tags"):
        await create(api, tags={"aws:team": "blue"})


async def test_a_list_is_in_order_of_creation(api: AwsApiHarness) -> None:
    created = [await create(api, name=f"sc{number}") for number in range(5)]
    pages = await api.pages("ListStorageConfigurations", "storageConfigurations", maxResults=2)
    assert pages == [created[:2], created[2:4], created[4:]]


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [(RELAXED, [100, 1]), (msgspec.structs.replace(STRICT, storage_configurations=101), [100, 1]), (STRICT, [5])],
)
async def test_the_default_page_size_is_the_quota_up_to_one_hundred(
    tmp_path: Path, limits: Limits, sizes: list[int]
) -> None:
    async with open_api(tmp_path, limits=limits) as api:
        await asyncio.gather(*(create(api) for _ in range(sum(sizes))))
        pages = await api.pages("ListStorageConfigurations", "storageConfigurations")
        assert [len(page) for page in pages] == sizes


async def test_a_deleted_configuration_does_not_exist(api: AwsApiHarness) -> None:
    arn = (await create(api))["arn"]
    assert await api.call("DeleteStorageConfiguration", arn=arn) is None
    for operation in ("GetStorageConfiguration", "DeleteStorageConfiguration"):
        with pytest.raises(ResourceNotFoundError, match=arn):
            await api.call(operation, arn=arn)


@pytest.mark.parametrize("operation", ["GetStorageConfiguration", "DeleteStorageConfiguration"])
async def test_an_unknown_configuration_is_not_found(api: AwsApiHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=UNKNOWN_ARN):
        await api.call(operation, arn=UNKNOWN_ARN)


async def test_a_list_has_only_the_configurations_of_the_account(api: AwsApiHarness) -> None:
    await create(api)
    assert (await api.call("ListStorageConfigurations", account_id="210987654321"))["storageConfigurations"] == []
