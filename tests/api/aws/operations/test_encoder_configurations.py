"""CreateEncoderConfiguration, GetEncoderConfiguration, ListEncoderConfigurations, DeleteEncoderConfiguration."""

import asyncio
import re
from pathlib import Path

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import STRICT
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, AwsApiHarness, Json, open_api

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:encoder-configuration/abcdABCDefgh"
STORAGE: dict[str, Json] = {"s3": {"bucketName": "amzn-s3-demo-bucket"}}


async def create(api: AwsApiHarness, **members: Json) -> Json:
    return (await api.call("CreateEncoderConfiguration", **members))["encoderConfiguration"]


async def test_a_new_configuration_has_the_documented_defaults(api: AwsApiHarness) -> None:
    returned = await create(api)
    arn = returned.pop("arn")
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:encoder-configuration/[0-9A-Za-z]{{12}}", arn)
    assert returned == {
        "name": "",
        "tags": {},
        "video": {"width": 1280, "height": 720, "framerate": 30, "bitrate": 2_500_000},
    }


@pytest.mark.parametrize(
    "video",
    [
        {"width": 1920, "height": 1080, "framerate": 29.97, "bitrate": 8_500_000},
        {"width": 2, "height": 2, "framerate": 1, "bitrate": 1},
        {"framerate": 60},
        {"width": 640},
    ],
)
async def test_given_members_are_stored_and_absent_ones_have_defaults(
    api: AwsApiHarness, video: dict[str, Json]
) -> None:
    created = await create(api, name="test-ec", tags={"team": "blue"}, video=video)
    default = {"width": 1280, "height": 720, "framerate": 30, "bitrate": 2_500_000}
    assert created == {
        "arn": created["arn"],
        "name": "test-ec",
        "tags": {"team": "blue"},
        "video": {**default, **video},
    }
    assert await api.call("GetEncoderConfiguration", arn=created["arn"]) == {"encoderConfiguration": created}


@pytest.mark.parametrize(
    ("video", "member"),
    [
        ({"width": 1279}, "video.width"),
        ({"height": 721}, "video.height"),
        ({"width": 1920, "height": 1082}, "video.width"),
        ({"height": 1922}, "video.height"),
        ({"framerate": 60.5}, "video.framerate"),
        ({"bitrate": 8_500_001}, "video.bitrate"),
    ],
)
async def test_a_video_that_breaks_a_rule_is_refused_by_member(
    api: AwsApiHarness, video: dict[str, Json], member: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(api, video=video)
    assert refused.value.member == member


async def test_reserved_tags_are_refused(api: AwsApiHarness) -> None:
    with pytest.raises(InvalidInputError, match="tags"):
        await create(api, tags={"aws:team": "blue"})


async def test_a_list_has_summaries_in_order_of_creation(api: AwsApiHarness) -> None:
    created = [await create(api, name=f"ec{number}") for number in range(5)]
    short = [{"arn": one["arn"], "name": one["name"], "tags": {}} for one in created]
    pages = await api.pages("ListEncoderConfigurations", "encoderConfigurations", maxResults=2)
    assert pages == [short[:2], short[2:4], short[4:]]


async def test_the_default_page_size_is_one_hundred(api: AwsApiHarness) -> None:
    await asyncio.gather(*(create(api) for _ in range(101)))
    assert [len(page) for page in await api.pages("ListEncoderConfigurations", "encoderConfigurations")] == [100, 1]


async def test_a_deleted_configuration_does_not_exist(api: AwsApiHarness) -> None:
    arn = (await create(api))["arn"]
    assert await api.call("DeleteEncoderConfiguration", arn=arn) is None
    for operation in ("GetEncoderConfiguration", "DeleteEncoderConfiguration"):
        with pytest.raises(ResourceNotFoundError, match=arn):
            await api.call(operation, arn=arn)
    assert await api.call("ListEncoderConfigurations") == {"encoderConfigurations": []}


@pytest.mark.parametrize("operation", ["GetEncoderConfiguration", "DeleteEncoderConfiguration"])
async def test_an_unknown_configuration_is_not_found(api: AwsApiHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=UNKNOWN_ARN):
        await api.call(operation, arn=UNKNOWN_ARN)


async def test_the_second_of_two_concurrent_deletions_is_not_found(api: AwsApiHarness) -> None:
    arn = (await create(api))["arn"]
    answers = await asyncio.gather(
        *(api.call("DeleteEncoderConfiguration", arn=arn) for _ in range(2)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), ResourceNotFoundError]


async def test_each_kind_of_configuration_has_its_own_quota(tmp_path: Path) -> None:
    async with open_api(tmp_path, limits=STRICT) as api:
        created = await asyncio.gather(*(create(api) for _ in range(21)), return_exceptions=True)
        assert [str(one) for one in created if isinstance(one, ServiceQuotaExceededError)] == [
            "encoder configurations is at its quota of 20"
        ]
        for _ in range(5):
            await api.call("CreateStorageConfiguration", **STORAGE)
        with pytest.raises(ServiceQuotaExceededError, match="storage configurations is at its quota of 5"):
            await api.call("CreateStorageConfiguration", **STORAGE)
