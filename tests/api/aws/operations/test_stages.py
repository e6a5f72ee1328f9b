"""CreateStage, GetStage, ListStages, UpdateStage, DeleteStage."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.errors import (
    InvalidInputError,
    ResourceNotFoundError,
    ServiceQuotaExceededError,
    TokenRefusedError,
)
from stagebook.stage.limits import RELAXED
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, ENDPOINTS, AwsApiHarness, Json, open_api

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/abcdABCDefgh"
STORAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/abcdABCDefgh"
DEFAULT_RECORDING = {
    "storageConfigurationArn": "",
    "mediaTypes": ["AUDIO_VIDEO"],
    "thumbnailConfiguration": {"targetIntervalSeconds": 60, "storage": ["SEQUENTIAL"], "recordingMode": "DISABLED"},
    "recordingReconnectWindowSeconds": 0,
    "hlsConfiguration": {"targetSegmentDurationSeconds": 6},
    "recordParticipantReplicas": True,
}


async def test_a_new_stage_has_all_members_and_no_active_session(api: AwsApiHarness) -> None:
    answer = await api.call("CreateStage", name="stage1", tags={"team": "blue"})
    arn = answer["stage"].pop("arn")
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/[0-9A-Za-z]{{12}}", arn)
    assert answer == {
        "stage": {
            "name": "stage1",
            "tags": {"team": "blue"},
            "autoParticipantRecordingConfiguration": DEFAULT_RECORDING,
            "endpoints": msgspec.to_builtins(ENDPOINTS),
        },
        "participantTokens": [],
    }


async def test_the_name_and_tags_of_a_stage_are_empty_by_default(api: AwsApiHarness) -> None:
    stage = (await api.call("CreateStage"))["stage"]
    assert (stage["name"], stage["tags"]) == ("", {})


async def test_tokens_are_in_the_order_of_their_configurations_and_echo_them(api: AwsApiHarness) -> None:
    configurations: list[dict[str, Json]] = [
        {"userId": "alice", "duration": 30},
        {"attributes": {"role": "host"}, "capabilities": ["SUBSCRIBE"]},
        {},
    ]
    answer = await api.call("CreateStage", participantTokenConfigurations=configurations)
    always = {"participantId", "token", "expirationTime"}
    for token, configuration in zip(answer["participantTokens"], configurations, strict=True):
        assert token.keys() == always | configuration.keys()
        assert token.items() >= configuration.items()
        assert api.manager.participants.admit(token["token"]).participant_id == token["participantId"]
    assert len({token["participantId"] for token in answer["participantTokens"]}) == 3


async def test_a_stage_is_created_with_at_most_twelve_tokens(api: AwsApiHarness) -> None:
    answer = await api.call("CreateStage", participantTokenConfigurations=[{}] * 12)
    assert len(answer["participantTokens"]) == 12
    with pytest.raises(InvalidInputError):
        await api.call("CreateStage", participantTokenConfigurations=[{}] * 13)


async def test_an_invalid_token_configuration_creates_no_stage(api: AwsApiHarness) -> None:
    with pytest.raises(InvalidInputError):
        await api.call("CreateStage", participantTokenConfigurations=[{"attributes": {"key": "v" * 1024}}])
    assert await api.call("ListStages") == {"stages": []}


async def test_a_recording_configuration_is_returned_with_defaults(api: AwsApiHarness) -> None:
    recording = {
        "storageConfigurationArn": "",
        "mediaTypes": ["AUDIO_ONLY"],
        "thumbnailConfiguration": {"recordingMode": "INTERVAL"},
        "hlsConfiguration": {"targetSegmentDurationSeconds": 5},
        "recordParticipantReplicas": False,
    }
    stage = (await api.call("CreateStage", autoParticipantRecordingConfiguration=recording))["stage"]
    returned = stage["autoParticipantRecordingConfiguration"]
    assert returned == {
        **DEFAULT_RECORDING,
        **recording,
        "thumbnailConfiguration": {
            "targetIntervalSeconds": 60,
            "storage": ["SEQUENTIAL"],
            "recordingMode": "INTERVAL",
        },
    }
    assert (await api.call("GetStage", arn=stage["arn"]))["stage"]["autoParticipantRecordingConfiguration"] == returned


async def test_a_recording_configuration_with_a_storage_is_refused(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    calls: dict[str, dict[str, Json]] = {"CreateStage": {}, "UpdateStage": {"arn": arn}}
    for operation, members in calls.items():
        with pytest.raises(InvalidInputError) as refused:
            await api.call(
                operation, **members, autoParticipantRecordingConfiguration={"storageConfigurationArn": STORAGE_ARN}
            )
        assert refused.value.member == "autoParticipantRecordingConfiguration.storageConfigurationArn"


async def test_the_quota_of_stages_is_enforced(tmp_path: Path) -> None:
    async with open_api(tmp_path, limits=msgspec.structs.replace(RELAXED, stages=1)) as api:
        await api.create_stage()
        with pytest.raises(ServiceQuotaExceededError):
            await api.create_stage()


async def test_get_returns_the_same_stage_as_create(api: AwsApiHarness) -> None:
    created = (await api.call("CreateStage", name="stage1"))["stage"]
    assert await api.call("GetStage", arn=created["arn"]) == {"stage": created}


async def test_a_stage_with_a_participant_has_an_active_session(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    joined = await api.join(arn)
    assert re.fullmatch(r"st-[0-9A-Za-z]{13}", joined.session_id)
    assert (await api.call("ListStages"))["stages"][0]["activeSessionId"] == joined.session_id
    await api.end_session(joined)
    assert "activeSessionId" not in (await api.call("GetStage", arn=arn))["stage"]


@pytest.mark.parametrize("operation", ["GetStage", "UpdateStage", "DeleteStage"])
async def test_an_unknown_stage_is_not_found(api: AwsApiHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        await api.call(operation, arn=UNKNOWN_ARN)


async def test_a_list_has_summaries_in_order_of_creation(api: AwsApiHarness) -> None:
    arns = [await api.create_stage(name=f"stage{number}", tags={"n": str(number)}) for number in range(3)]
    assert (await api.call("ListStages"))["stages"] == [
        {"arn": arn, "name": f"stage{number}", "tags": {"n": str(number)}} for number, arn in enumerate(arns)
    ]


async def test_stages_are_listed_in_pages(api: AwsApiHarness) -> None:
    arns = [await api.create_stage() for _ in range(5)]
    pages = await api.pages("ListStages", "stages", maxResults=2)
    assert [[stage["arn"] for stage in page] for page in pages] == [arns[:2], arns[2:4], arns[4:]]


async def test_a_list_has_only_the_stages_of_the_account(api: AwsApiHarness) -> None:
    await api.create_stage()
    assert await api.call("ListStages", account_id="210987654321") == {"stages": []}


async def test_update_changes_only_the_given_members(api: AwsApiHarness) -> None:
    created = (await api.call("CreateStage", name="old", tags={"team": "blue"}))["stage"]
    renamed = (await api.call("UpdateStage", arn=created["arn"], name="new"))["stage"]
    assert renamed == {**created, "name": "new"}
    recording = {"storageConfigurationArn": "", "recordingReconnectWindowSeconds": 60}
    changed = (await api.call("UpdateStage", arn=created["arn"], autoParticipantRecordingConfiguration=recording))[
        "stage"
    ]
    assert changed == {
        **renamed,
        "autoParticipantRecordingConfiguration": {**DEFAULT_RECORDING, "recordingReconnectWindowSeconds": 60},
    }
    assert (await api.call("GetStage", arn=created["arn"]))["stage"] == changed


async def test_a_deleted_stage_does_not_exist_and_its_tokens_are_refused(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    joined = await api.join(arn)
    assert await api.call("DeleteStage", arn=arn) is None
    assert await api.call("ListStages") == {"stages": []}
    assert len(joined.watcher.farewells) == 1
    with pytest.raises(ResourceNotFoundError):
        await api.call("GetStage", arn=arn)
    with pytest.raises(TokenRefusedError):
        await api.rejoin(joined.token)


async def test_a_stage_that_is_being_deleted_is_not_found(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    _, *late = await asyncio.gather(
        api.call("DeleteStage", arn=arn),
        api.call("UpdateStage", arn=arn, name="late"),
        api.call("TagResource", resourceArn=arn, tags={"team": "blue"}),
        api.call("UntagResource", resourceArn=arn, tagKeys=["team"]),
        api.call("DeleteStage", arn=arn),
        return_exceptions=True,
    )
    assert [type(answer) for answer in late] == [ResourceNotFoundError] * 4
