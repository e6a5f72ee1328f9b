"""TagResource, UntagResource, ListTagsForResource."""

import asyncio
import re

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.house import Json, ManagerHarness
from tests.clients.own_key import OwnKey

UNKNOWN_ARNS = [
    "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    "arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh",
    "arn:aws:ivs:us-west-2:123456789012:storage-configuration/abcdABCDefgh",
    "arn:aws:ivs:us-west-2:123456789012:composition/abcdABCDefgh",
]


async def tags_of(house: ManagerHarness, arn: str) -> Json:
    return (await house.call("ListTagsForResource", resourceArn=arn))["tags"]


async def test_a_resource_without_tags_has_an_empty_map(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    assert await house.call("ListTagsForResource", resourceArn=arn) == {"tags": {}}


async def test_tags_are_added_and_replaced(house: ManagerHarness) -> None:
    arn = await house.create_stage(tags={"team": "blue", "cost": "1"})
    assert await house.call("TagResource", resourceArn=arn, tags={"team": "red", "stage": "é"}) is None
    assert await tags_of(house, arn) == {"team": "red", "cost": "1", "stage": "é"}
    assert (await house.call("GetStage", arn=arn))["stage"]["tags"] == await tags_of(house, arn)


TAGGED: dict[str, tuple[str, dict[str, Json]]] = {
    "CreateStage": ("stage", {}),
    "CreateIngestConfiguration": ("ingestConfiguration", {"ingestProtocol": "RTMPS"}),
    "CreateEncoderConfiguration": ("encoderConfiguration", {}),
    "ImportPublicKey": ("publicKey", {"publicKeyMaterial": OwnKey().public_pem}),
    "CreateStorageConfiguration": ("storageConfiguration", {"s3": {"bucketName": "amzn-s3-demo-bucket"}}),
}


@pytest.mark.parametrize("operation", TAGGED)
async def test_every_kind_of_resource_has_tags_from_its_creation_on(house: ManagerHarness, operation: str) -> None:
    member, needed = TAGGED[operation]
    made = (await house.call(operation, tags={"team": "blue", "cost": "1"}, **needed))[member]
    arn = made["arn"]
    assert await tags_of(house, arn) == made["tags"] == {"team": "blue", "cost": "1"}

    await house.call("TagResource", resourceArn=arn, tags={"team": "red", "new": ""})
    await house.call("UntagResource", resourceArn=arn, tagKeys=["cost"])

    shown = (await house.call(re.sub("Create|Import", "Get", operation), arn=arn))[member]
    assert shown == {**made, "tags": {"team": "red", "new": ""}}
    assert await tags_of(house, arn) == shown["tags"]


async def test_tags_are_removed_and_absent_keys_are_no_error(house: ManagerHarness) -> None:
    arn = await house.create_stage(tags={"team": "blue", "cost": "1"})
    assert await house.call("UntagResource", resourceArn=arn, tagKeys=["team", "never"]) is None
    assert await tags_of(house, arn) == {"cost": "1"}


async def test_a_resource_has_fifty_tags_at_most(house: ManagerHarness) -> None:
    arn = await house.create_stage(tags={f"key{number}": "" for number in range(49)})
    await house.call("TagResource", resourceArn=arn, tags={"key49": "", "key48": "changed"})
    with pytest.raises(InvalidInputError):
        await house.call("TagResource", resourceArn=arn, tags={"key50": ""})
    assert len(await tags_of(house, arn)) == 50


@pytest.mark.parametrize("key", ["aws:", "aws:cloudformation:stack", "AWS:team"])
async def test_the_prefix_of_aws_is_reserved(house: ManagerHarness, key: str) -> None:
    arn = await house.create_stage()
    calls: dict[str, dict[str, Json]] = {"TagResource": {"resourceArn": arn}, "CreateStage": {}}
    for operation, members in calls.items():
        with pytest.raises(InvalidInputError) as refused:
            await house.call(operation, **members, tags={key: "value"})
        assert refused.value.member == "tags"


async def test_tagging_at_once_loses_no_tag(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    await asyncio.gather(*(house.call("TagResource", resourceArn=arn, tags={f"key{n}": ""}) for n in range(20)))
    assert len(await tags_of(house, arn)) == 20


@pytest.mark.parametrize("arn", UNKNOWN_ARNS)
async def test_an_unknown_resource_is_not_found(house: ManagerHarness, arn: str) -> None:
    calls: dict[str, dict[str, Json]] = {
        "TagResource": {"tags": {"team": "blue"}},
        "UntagResource": {"tagKeys": ["team"]},
        "ListTagsForResource": {},
    }
    for operation, members in calls.items():
        with pytest.raises(ResourceNotFoundError):
            await house.call(operation, resourceArn=arn, **members)
