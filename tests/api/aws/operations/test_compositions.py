"""StartComposition, GetComposition, ListCompositions, StopComposition, with a scripted engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.aws_api_harness import (
    ACCOUNT_ID,
    CHANNEL_ARN,
    OTHER_CHANNEL_ARN,
    REGION,
    AwsApiHarness,
    Json,
    open_api,
)

FIVE_MINUTES_MS = 5 * 60_000
UNKNOWN = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:{{}}/unknownUNK00"
START_TIME = "2023-04-26T20:30:34.250Z"
DEFAULT_GRID = {
    "featuredParticipantAttribute": "",
    "gridGap": 2,
    "omitStoppedVideo": False,
    "participantOrderAttribute": "",
    "videoAspectRatio": "VIDEO",
    "videoFillMode": "",
}
DEFAULT_PIP = {
    "featuredParticipantAttribute": "",
    "gridGap": 0,
    "omitStoppedVideo": False,
    "participantOrderAttribute": "",
    "pipBehavior": "STATIC",
    "pipOffset": 0,
    "pipParticipantAttribute": "",
    "pipPosition": "BOTTOM_RIGHT",
    "videoFillMode": "COVER",
}


class Composer:
    """A stage and configurations, and short forms of the operations."""

    def __init__(self, api: AwsApiHarness, *, stage_arn: str, encoder_arn: str, storage_arn: str) -> None:
        self.api = api
        self.stage_arn, self.encoder_arn, self.storage_arn = stage_arn, encoder_arn, storage_arn

    @property
    def s3(self) -> Json:
        return {"s3": {"storageConfigurationArn": self.storage_arn, "encoderConfigurationArns": [self.encoder_arn]}}

    @property
    def channel(self) -> Json:
        return {"channel": {"channelArn": CHANNEL_ARN, "encoderConfigurationArn": self.encoder_arn}}

    async def start(self, *destinations: Json, **members: Json) -> Json:
        """Start a composition, by default into the bucket; return it as StartComposition does."""
        members = {"stageArn": self.stage_arn, "destinations": list(destinations) or [self.s3], **members}
        composition = (await self.api.call("StartComposition", **members))["composition"]
        await self.api.manager.settled()
        return composition

    async def get(self, composition: Json) -> Json:
        return (await self.api.call("GetComposition", arn=composition["arn"]))["composition"]

    async def listed(self, **members: Json) -> list[str]:
        answer = await self.api.call("ListCompositions", **members)
        return [each["arn"] for each in answer["compositions"]]

    async def stop(self, composition: Json) -> None:
        assert await self.api.call("StopComposition", arn=composition["arn"]) is None
        await self.api.manager.settled()

    async def run_outputs(self, composition: Json) -> None:
        self.api.composer.start_outputs(composition["arn"].rpartition("/")[2])
        await self.api.manager.settled()


@pytest_asyncio.fixture
async def on(api: AwsApiHarness) -> AsyncIterator[Composer]:
    encoder = (await api.call("CreateEncoderConfiguration"))["encoderConfiguration"]
    storage = (await api.call("CreateStorageConfiguration", s3={"bucketName": "bucket"}))["storageConfiguration"]
    yield Composer(api, stage_arn=await api.create_stage(), encoder_arn=encoder["arn"], storage_arn=storage["arn"])


async def test_the_answer_has_the_members_and_defaults_of_the_sample(on: Composer) -> None:
    composition = await on.start(on.channel, on.s3)
    channel, s3 = composition["destinations"]
    composition_id, stage_id = (arn.rpartition("/")[2] for arn in (composition["arn"], on.stage_arn))
    assert composition == {
        "arn": f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:composition/{composition_id}",
        "stageArn": on.stage_arn,
        "state": "STARTING",
        "startTime": START_TIME,
        "tags": {},
        "layout": {"grid": DEFAULT_GRID},
        "destinations": [
            {"id": channel["id"], "state": "STARTING", "configuration": {"name": "", **on.channel}},
            {
                "id": s3["id"],
                "state": "STARTING",
                "configuration": {
                    "name": "",
                    "s3": {
                        **on.s3["s3"],
                        "recordingConfiguration": {
                            "format": "HLS",
                            "hlsConfiguration": {"targetSegmentDurationSeconds": 2},
                        },
                    },
                },
                "detail": {"s3": {"recordingPrefix": f"{stage_id}/{composition_id}/{s3['id']}/composite"}},
            },
        ],
    }
    assert {len(each) for each in (composition_id, channel["id"], s3["id"])} == {12}
    assert await on.get(composition) == composition


async def test_a_layout_in_picture_in_picture_has_its_defaults(on: Composer) -> None:
    composition = await on.start(layout={"pip": {"featuredParticipantAttribute": "star", "pipWidth": 64}})
    expected = {**DEFAULT_PIP, "featuredParticipantAttribute": "star", "pipWidth": 64}
    assert composition["layout"] == {"pip": expected}


async def test_given_members_are_kept(on: Composer) -> None:
    thumbnails = [{"targetIntervalSeconds": 5}]
    recording = {"hlsConfiguration": {"targetSegmentDurationSeconds": 6}}
    s3 = {**on.s3["s3"], "recordingConfiguration": recording, "thumbnailConfigurations": thumbnails}
    grid = {"gridGap": 9, "omitStoppedVideo": True, "videoFillMode": "FILL", "videoAspectRatio": "SQUARE"}
    composition = await on.start({"name": "file", "s3": s3}, layout={"grid": grid}, tags={"team": "blue"})
    assert composition["layout"]["grid"] == {**DEFAULT_GRID, **grid}
    assert composition["tags"] == {"team": "blue"}
    configuration = composition["destinations"][0]["configuration"]
    assert configuration["name"] == "file"
    assert configuration["s3"]["recordingConfiguration"] == {"format": "HLS", **recording}
    assert configuration["s3"]["thumbnailConfigurations"] == [{"targetIntervalSeconds": 5, "storage": ["SEQUENTIAL"]}]


async def test_a_channel_needs_no_encoder_configuration(on: Composer) -> None:
    composition = await on.start({"channel": {"channelArn": CHANNEL_ARN}})
    ((output,),) = (each.outputs for each in on.api.composer.requests.values())
    assert (output.canvas.width, output.canvas.height, output.canvas.bitrate_bps) == (1280, 720, 2_500_000)
    assert composition["destinations"][0]["configuration"]["channel"] == {"channelArn": CHANNEL_ARN}


async def test_states_and_times_follow_the_engine(on: Composer) -> None:
    started = await on.start()
    on.api.clock.time_ms += 1_000
    await on.run_outputs(started)
    active = await on.get(started)
    assert (active["state"], active["destinations"][0]["state"]) == ("ACTIVE", "ACTIVE")
    assert active["destinations"][0]["startTime"] == "2023-04-26T20:30:35.250Z"
    on.api.clock.time_ms += 1_000
    await on.stop(started)
    stopped = await on.get(started)
    assert (stopped["state"], stopped["startTime"]) == ("STOPPED", START_TIME)
    assert stopped["endTime"] == stopped["destinations"][0]["endTime"] == "2023-04-26T20:30:36.250Z"


@pytest.mark.parametrize("operation", ["GetComposition", "StopComposition"])
async def test_an_unknown_composition_is_not_found(api: AwsApiHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match="composition"):
        await api.call(operation, arn=UNKNOWN.format("composition"))


async def test_an_ended_composition_is_shown_for_five_minutes(on: Composer) -> None:
    composition = await on.start()
    await on.stop(composition)
    on.api.clock.time_ms += FIVE_MINUTES_MS - 1
    assert (await on.get(composition))["state"] == "STOPPED"
    assert await on.listed() == [composition["arn"]]
    await on.stop(composition)
    on.api.clock.time_ms += 1
    assert await on.listed() == []
    for operation in ("GetComposition", "StopComposition", "ListTagsForResource"):
        member = "resourceArn" if operation == "ListTagsForResource" else "arn"
        with pytest.raises(ResourceNotFoundError):
            await on.api.call(operation, **{member: composition["arn"]})


async def test_lists_have_the_newest_first_in_pages_and_summaries(on: Composer) -> None:
    started = [await on.start() for _ in range(3)]
    pages = await on.api.pages("ListCompositions", "compositions", maxResults=2)
    assert [[each["arn"] for each in page] for page in pages] == [
        [started[2]["arn"], started[1]["arn"]],
        [started[0]["arn"]],
    ]
    assert pages[1][0] == {
        "arn": started[0]["arn"],
        "stageArn": on.stage_arn,
        "state": "STARTING",
        "startTime": START_TIME,
        "tags": {},
        "destinations": [{"id": started[0]["destinations"][0]["id"], "state": "STARTING"}],
    }
    assert await on.api.call("ListCompositions", account_id="210987654321") == {"compositions": []}


async def test_filters_select_by_stage_and_encoder_configuration(on: Composer) -> None:
    other_stage = await on.api.create_stage()
    first = await on.start()
    second = await on.start({"channel": {"channelArn": CHANNEL_ARN}}, stageArn=other_stage)
    assert await on.listed(filterByStageArn=other_stage) == [second["arn"]]
    assert await on.listed(filterByEncoderConfigurationArn=on.encoder_arn) == [first["arn"]]
    assert await on.listed(filterByEncoderConfigurationArn=on.encoder_arn, filterByStageArn=other_stage) == []


async def test_a_page_token_of_other_filters_is_refused(on: Composer) -> None:
    for _ in range(2):
        await on.start()
    token = (await on.api.call("ListCompositions", maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError, match="nextToken"):
        await on.api.call("ListCompositions", maxResults=1, nextToken=token, filterByStageArn=on.stage_arn)


@pytest.mark.parametrize(
    ("destinations", "message"),
    [
        (["neither"], r"destinations\[0\]: must have exactly one of channel and s3"),
        (["both"], r"destinations\[0\]: must have exactly one of channel and s3"),
        (["s3", "s3"], "at most one s3 destination"),
        (["channel", "channel"], "at most one channel destination"),
    ],
)
async def test_each_rule_of_destinations(on: Composer, destinations: list[str], message: str) -> None:
    known = {
        "neither": {"name": "x"},
        "both": {**on.s3, **on.channel},
        "s3": on.s3,
        "channel": on.channel,
    }
    with pytest.raises(InvalidInputError, match=message):
        await on.start(*(known[each] for each in destinations))
    assert on.api.composer.requests == {}


@pytest.mark.parametrize("layout", [{}, {"grid": {}, "pip": {}}])
async def test_a_layout_is_exactly_one(on: Composer, layout: Json) -> None:
    with pytest.raises(InvalidInputError, match="exactly one of grid and pip"):
        await on.start(layout=layout)


async def test_everything_that_is_named_must_exist(on: Composer) -> None:
    encoder, storage = UNKNOWN.format("encoder-configuration"), UNKNOWN.format("storage-configuration")
    channel = UNKNOWN.format("channel")
    with pytest.raises(ResourceNotFoundError, match="stage"):
        await on.start(stageArn=UNKNOWN.format("stage"))
    with pytest.raises(ResourceNotFoundError, match=f"encoder configuration {encoder}"):
        await on.start({"s3": {**on.s3["s3"], "encoderConfigurationArns": [encoder]}})
    with pytest.raises(ResourceNotFoundError, match=f"encoder configuration {encoder}"):
        await on.start({"channel": {**on.channel["channel"], "encoderConfigurationArn": encoder}})
    with pytest.raises(ResourceNotFoundError, match=f"storage configuration {storage}"):
        await on.start({"s3": {**on.s3["s3"], "storageConfigurationArn": storage}})
    with pytest.raises(ResourceNotFoundError, match=f"channel {channel}"):
        await on.start({"channel": {"channelArn": channel}})


async def test_a_reserved_tag_is_refused(on: Composer) -> None:
    with pytest.raises(InvalidInputError, match="aws:"):
        await on.start(tags={"aws:x": "y"})


async def test_a_token_names_one_composition(on: Composer) -> None:
    first = await on.start(idempotencyToken="token")
    assert (await on.start(idempotencyToken="token"))["arn"] == first["arn"]
    with pytest.raises(ConflictError, match="idempotencyToken"):
        await on.start(on.channel, idempotencyToken="token")


async def test_a_channel_in_use_fails_the_destination_with_a_conflict(on: Composer) -> None:
    await on.start(on.channel)
    second = await on.start(on.channel, on.s3)
    assert [each["state"] for each in (await on.get(second))["destinations"]] == ["FAILED", "STARTING"]
    other = await on.start({"channel": {"channelArn": OTHER_CHANNEL_ARN}})
    assert (await on.get(other))["state"] == "STARTING"


async def test_tags_of_a_composition_can_be_changed(on: Composer) -> None:
    composition = await on.start(tags={"a": "1"})
    arn = composition["arn"]
    await on.api.call("TagResource", resourceArn=arn, tags={"b": "2"})
    await on.api.call("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert await on.api.call("ListTagsForResource", resourceArn=arn) == {"tags": {"b": "2"}}
    await on.run_outputs(composition)
    assert (await on.get(composition))["tags"] == {"b": "2"}


@pytest.mark.parametrize("kind", ["Encoder", "Storage"])
async def test_a_configuration_in_use_is_not_deleted(on: Composer, kind: str) -> None:
    composition = await on.start()
    arn = on.encoder_arn if kind == "Encoder" else on.storage_arn
    with pytest.raises(ConflictError, match=composition["arn"]):
        await on.api.call(f"Delete{kind}Configuration", arn=arn)
    await on.stop(composition)
    await on.api.call(f"Delete{kind}Configuration", arn=arn)


async def test_a_server_without_an_engine_says_so(tmp_path: Path) -> None:
    async with open_api(tmp_path, composes=False) as api:
        destinations = [{"channel": {"channelArn": CHANNEL_ARN}}]
        with pytest.raises(InvalidInputError, match="does not compose stages"):
            await api.call("StartComposition", stageArn=await api.create_stage(), destinations=destinations)
        with pytest.raises(ResourceNotFoundError, match="stage"):
            await api.call("StartComposition", stageArn=UNKNOWN.format("stage"), destinations=destinations)
