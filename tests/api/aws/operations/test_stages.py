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
from tests.api.aws.operations.house import ACCOUNT_ID, ENDPOINTS, Json, ManagerHarness, open_house

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


async def test_a_new_stage_is_shown_whole_and_idle(house: ManagerHarness) -> None:
    answer = await house.call("CreateStage", name="stage1", tags={"team": "blue"})
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


async def test_a_stage_needs_no_name(house: ManagerHarness) -> None:
    stage = (await house.call("CreateStage"))["stage"]
    assert (stage["name"], stage["tags"]) == ("", {})


async def test_first_tokens_come_in_the_order_asked_for_and_echo_what_was_given(house: ManagerHarness) -> None:
    configurations: list[dict[str, Json]] = [
        {"userId": "alice", "duration": 30},
        {"attributes": {"role": "host"}, "capabilities": ["SUBSCRIBE"]},
        {},
    ]
    answer = await house.call("CreateStage", participantTokenConfigurations=configurations)
    always = {"participantId", "token", "expirationTime"}
    for token, configuration in zip(answer["participantTokens"], configurations, strict=True):
        assert token.keys() == always | configuration.keys()
        assert token.items() >= configuration.items()
        assert house.manager.admit(token["token"]).participant_id == token["participantId"]
    assert len({token["participantId"] for token in answer["participantTokens"]}) == 3


async def test_twelve_first_tokens_and_no_more(house: ManagerHarness) -> None:
    answer = await house.call("CreateStage", participantTokenConfigurations=[{}] * 12)
    assert len(answer["participantTokens"]) == 12
    with pytest.raises(InvalidInputError):
        await house.call("CreateStage", participantTokenConfigurations=[{}] * 13)


async def test_a_refused_first_token_leaves_no_stage(house: ManagerHarness) -> None:
    with pytest.raises(InvalidInputError):
        await house.call("CreateStage", participantTokenConfigurations=[{"attributes": {"key": "v" * 1024}}])
    assert await house.call("ListStages") == {"stages": []}


async def test_what_was_set_of_recording_is_shown_among_the_defaults(house: ManagerHarness) -> None:
    recording = {
        "storageConfigurationArn": "",
        "mediaTypes": ["AUDIO_ONLY"],
        "thumbnailConfiguration": {"recordingMode": "INTERVAL"},
        "hlsConfiguration": {"targetSegmentDurationSeconds": 5},
        "recordParticipantReplicas": False,
    }
    stage = (await house.call("CreateStage", autoParticipantRecordingConfiguration=recording))["stage"]
    shown = stage["autoParticipantRecordingConfiguration"]
    assert shown == {
        **DEFAULT_RECORDING,
        **recording,
        "thumbnailConfiguration": {
            "targetIntervalSeconds": 60,
            "storage": ["SEQUENTIAL"],
            "recordingMode": "INTERVAL",
        },
    }
    assert (await house.call("GetStage", arn=stage["arn"]))["stage"]["autoParticipantRecordingConfiguration"] == shown


async def test_recording_is_refused_by_name(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    calls: dict[str, dict[str, Json]] = {"CreateStage": {}, "UpdateStage": {"arn": arn}}
    for operation, members in calls.items():
        with pytest.raises(InvalidInputError) as refused:
            await house.call(
                operation, **members, autoParticipantRecordingConfiguration={"storageConfigurationArn": STORAGE_ARN}
            )
        assert refused.value.member == "autoParticipantRecordingConfiguration.storageConfigurationArn"


async def test_the_quota_of_stages_holds(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=msgspec.structs.replace(RELAXED, stages=1)) as house:
        await house.create_stage()
        with pytest.raises(ServiceQuotaExceededError):
            await house.create_stage()


async def test_get_shows_what_create_showed(house: ManagerHarness) -> None:
    created = (await house.call("CreateStage", name="stage1"))["stage"]
    assert await house.call("GetStage", arn=created["arn"]) == {"stage": created}


async def test_a_stage_with_somebody_on_it_has_an_active_session(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    visit = await house.join(arn)
    assert re.fullmatch(r"st-[0-9A-Za-z]{13}", visit.session_id)
    assert (await house.call("ListStages"))["stages"][0]["activeSessionId"] == visit.session_id
    await house.end_session(visit)
    assert "activeSessionId" not in (await house.call("GetStage", arn=arn))["stage"]


@pytest.mark.parametrize("operation", ["GetStage", "UpdateStage", "DeleteStage"])
async def test_an_unknown_stage_is_not_found(house: ManagerHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        await house.call(operation, arn=UNKNOWN_ARN)


async def test_stages_are_listed_in_short_and_in_order_of_creation(house: ManagerHarness) -> None:
    arns = [await house.create_stage(name=f"stage{number}", tags={"n": str(number)}) for number in range(3)]
    assert (await house.call("ListStages"))["stages"] == [
        {"arn": arn, "name": f"stage{number}", "tags": {"n": str(number)}} for number, arn in enumerate(arns)
    ]


async def test_stages_come_in_pages(house: ManagerHarness) -> None:
    arns = [await house.create_stage() for _ in range(5)]
    pages = await house.pages("ListStages", "stages", maxResults=2)
    assert [[stage["arn"] for stage in page] for page in pages] == [arns[:2], arns[2:4], arns[4:]]


async def test_an_account_sees_its_own_stages_alone(house: ManagerHarness) -> None:
    await house.create_stage()
    assert await house.call("ListStages", account_id="210987654321") == {"stages": []}


async def test_update_changes_what_is_given_and_nothing_else(house: ManagerHarness) -> None:
    created = (await house.call("CreateStage", name="old", tags={"team": "blue"}))["stage"]
    renamed = (await house.call("UpdateStage", arn=created["arn"], name="new"))["stage"]
    assert renamed == {**created, "name": "new"}
    recording = {"storageConfigurationArn": "", "recordingReconnectWindowSeconds": 60}
    changed = (await house.call("UpdateStage", arn=created["arn"], autoParticipantRecordingConfiguration=recording))[
        "stage"
    ]
    assert changed == {
        **renamed,
        "autoParticipantRecordingConfiguration": {**DEFAULT_RECORDING, "recordingReconnectWindowSeconds": 60},
    }
    assert (await house.call("GetStage", arn=created["arn"]))["stage"] == changed


async def test_a_deleted_stage_is_gone_with_its_tokens(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    visit = await house.join(arn)
    assert await house.call("DeleteStage", arn=arn) is None
    assert await house.call("ListStages") == {"stages": []}
    assert len(visit.onlooker.farewells) == 1
    with pytest.raises(ResourceNotFoundError):
        await house.call("GetStage", arn=arn)
    with pytest.raises(TokenRefusedError):
        house.manager.admit(visit.token)


async def test_a_stage_that_is_being_deleted_is_not_found(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    _, *late = await asyncio.gather(
        house.call("DeleteStage", arn=arn),
        house.call("UpdateStage", arn=arn, name="late"),
        house.call("TagResource", resourceArn=arn, tags={"team": "blue"}),
        house.call("UntagResource", resourceArn=arn, tagKeys=["team"]),
        house.call("DeleteStage", arn=arn),
        return_exceptions=True,
    )
    assert [type(answer) for answer in late] == [ResourceNotFoundError] * 4
