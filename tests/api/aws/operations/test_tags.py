"""TagResource, UntagResource, ListTagsForResource."""

import asyncio
import re

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.aws_api_harness import AwsApiHarness, Json
from tests.clients.own_key import OwnKey

UNKNOWN_ARNS = [
    "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    "arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh",
    "arn:aws:ivs:us-west-2:123456789012:storage-configuration/abcdABCDefgh",
    "arn:aws:ivs:us-west-2:123456789012:composition/abcdABCDefgh",
]


async def tags_of(api: AwsApiHarness, arn: str) -> Json:
    return (await api.call("ListTagsForResource", resourceArn=arn))["tags"]


async def test_a_resource_without_tags_has_an_empty_map(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    assert await api.call("ListTagsForResource", resourceArn=arn) == {"tags": {}}


async def test_tags_are_added_and_replaced(api: AwsApiHarness) -> None:
    arn = await api.create_stage(tags={"team": "blue", "cost": "1"})
    assert await api.call("TagResource", resourceArn=arn, tags={"team": "red", "stage": "é"}) is None
    assert await tags_of(api, arn) == {"team": "red", "cost": "1", "stage": "é"}
    assert (await api.call("GetStage", arn=arn))["stage"]["tags"] == await tags_of(api, arn)


TAGGED: dict[str, tuple[str, dict[str, Json]]] = {
    "CreateStage": ("stage", {}),
    "CreateIngestConfiguration": ("ingestConfiguration", {"ingestProtocol": "RTMPS"}),
    "CreateEncoderConfiguration": ("encoderConfiguration", {}),
    "ImportPublicKey": ("publicKey", {"publicKeyMaterial": OwnKey().public_pem}),
    "CreateStorageConfiguration": ("storageConfiguration", {"s3": {"bucketName": "amzn-s3-demo-bucket"}}),
}


@pytest.mark.parametrize("operation", TAGGED)
async def test_every_kind_of_resource_can_be_tagged_at_and_after_creation(api: AwsApiHarness, operation: str) -> None:
    member, needed = TAGGED[operation]
    created = (await api.call(operation, tags={"team": "blue", "cost": "1"}, **needed))[member]
    arn = created["arn"]
    assert await tags_of(api, arn) == created["tags"] == {"team": "blue", "cost": "1"}

    await api.call("TagResource", resourceArn=arn, tags={"team": "red", "new": ""})
    await api.call("UntagResource", resourceArn=arn, tagKeys=["cost"])

    returned = (await api.call(re.sub("Create|Import", "Get", operation), arn=arn))[member]
    assert returned == {**created, "tags": {"team": "red", "new": ""}}
    assert await tags_of(api, arn) == returned["tags"]


async def test_tags_are_removed_and_absent_keys_are_ignored(api: AwsApiHarness) -> None:
    arn = await api.create_stage(tags={"team": "blue", "cost": "1"})
    assert await api.call("UntagResource", resourceArn=arn, tagKeys=["team", "never"]) is None
    assert await tags_of(api, arn) == {"cost": "1"}


async def test_a_resource_has_fifty_tags_at_most(api: AwsApiHarness) -> None:
    arn = await api.create_stage(tags={f"key{number}": "" for number in range(49)})
    await api.call("TagResource", resourceArn=arn, tags={"key49": "", "key48": "changed"})
    with pytest.raises(InvalidInputError):
        await api.call("TagResource", resourceArn=arn, tags={"key50": ""})
    assert len(await tags_of(api, arn)) == 50


@pytest.mark.parametrize("key", ["aws:", "aws:cloudformation:stack", "AWS:team"])
async def test_the_tag_prefix_of_aws_is_reserved(api: AwsApiHarness, key: str) -> None:
    arn = await api.create_stage()
    calls: dict[str, dict[str, Json]] = {"TagResource": {"resourceArn": arn}, "CreateStage": {}}
    for operation, members in calls.items():
        with pytest.raises(InvalidInputError) as refused:
            await api.call(operation, **members, tags={key: "value"})
        assert refused.value.member == "tags"


async def test_concurrent_tagging_keeps_every_tag(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    await asyncio.gather(*(api.call("TagResource", resourceArn=arn, tags={f"key{n}": ""}) for n in range(20)))
    assert len(await tags_of(api, arn)) == 20


@pytest.mark.parametrize("arn", UNKNOWN_ARNS)
async def test_an_unknown_resource_is_not_found(api: AwsApiHarness, arn: str) -> None:
    calls: dict[str, dict[str, Json]] = {
        "TagResource": {"tags": {"team": "blue"}},
        "UntagResource": {"tagKeys": ["team"]},
        "ListTagsForResource": {},
    }
    for operation, members in calls.items():
        with pytest.raises(ResourceNotFoundError):
            await api.call(operation, resourceArn=arn, **members)
