"""CreateIngestConfiguration, GetIngestConfiguration, ListIngestConfigurations, Update-, DeleteIngestConfiguration."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import STRICT
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, AwsApiHarness, Json, open_api

UNKNOWN_STAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/abcdABCDefgh"
UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:ingest-configuration/abcdABCDefgh"


async def create(api: AwsApiHarness, **members: Json) -> Json:
    answer = await api.call("CreateIngestConfiguration", **{"ingestProtocol": "RTMPS", **members})
    return answer["ingestConfiguration"]


async def get(api: AwsApiHarness, arn: str) -> Json:
    return (await api.call("GetIngestConfiguration", arn=arn))["ingestConfiguration"]


def form(resource_id: str) -> str:
    return rf"rt_{ACCOUNT_ID}_us-west-2_{resource_id}_[0-9A-Za-z]{{30}}"


async def test_a_new_configuration_has_all_members(api: AwsApiHarness) -> None:
    returned = await create(api, name="ingest1")
    arn, key, participant_id = returned.pop("arn"), returned.pop("streamKey"), returned.pop("participantId")
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:ingest-configuration/[0-9A-Za-z]{{12}}", arn)
    assert re.fullmatch(form(arn[-12:]), key)
    assert re.fullmatch("[0-9A-Za-z]{12}", participant_id)
    assert returned == {
        "name": "ingest1",
        "ingestProtocol": "RTMPS",
        "stageArn": "",
        "state": "INACTIVE",
        "userId": "",
        "redundantIngest": False,
        "attributes": {},
        "tags": {},
    }


async def test_all_given_members_are_stored(api: AwsApiHarness) -> None:
    given = {
        "name": "ingest1",
        "stageArn": await api.create_stage(),
        "userId": "Zoë",
        "attributes": {"role": "host"},
        "ingestProtocol": "RTMP",
        "redundantIngest": True,
        "tags": {"team": "blue"},
    }
    created = await create(api, **given, insecureIngest=True)
    assert created.items() >= given.items()
    assert await get(api, created["arn"]) == created


@pytest.mark.parametrize(("given", "returned"), [("rtmps", "RTMPS"), ("rtmp", "RTMP"), ("RTMP", "RTMP")])
async def test_the_protocol_is_accepted_in_lower_case(api: AwsApiHarness, given: str, returned: str) -> None:
    assert (await create(api, ingestProtocol=given, insecureIngest=True))["ingestProtocol"] == returned


@pytest.mark.parametrize("members", [{}, {"insecureIngest": False}])
async def test_rtmp_needs_insecure_ingest(api: AwsApiHarness, members: dict[str, Json]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(api, ingestProtocol="RTMP", **members)
    assert refused.value.member == "insecureIngest"
    assert (await create(api, ingestProtocol="RTMPS", **members))["ingestProtocol"] == "RTMPS"


async def test_an_unknown_stage_is_an_invalid_input_of_create(api: AwsApiHarness) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(api, stageArn=UNKNOWN_STAGE_ARN)
    assert refused.value.member == "stageArn"
    assert await api.call("ListIngestConfigurations") == {"ingestConfigurations": []}


@pytest.mark.parametrize(("member", "value"), [("attributes", {"key": "v" * 1_022}), ("tags", {"aws:team": "blue"})])
async def test_too_large_attributes_and_reserved_tags_are_refused(api: AwsApiHarness, member: str, value: Json) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(api, **{member: value})
    assert refused.value.member == member


async def test_redundant_ingest_has_two_further_credentials(api: AwsApiHarness) -> None:
    created = await create(api, redundantIngest=True)
    credentials = created["redundantIngestCredentials"]
    assert len(credentials) == 2
    assert all(re.fullmatch(form(created["arn"][-12:]), credential["streamKey"]) for credential in credentials)
    everything = [created, *credentials]
    assert len({one["streamKey"] for one in everything}) == len({one["participantId"] for one in everything}) == 3


async def test_redundant_ingest_is_switched_on_and_off_by_update(api: AwsApiHarness) -> None:
    created = await create(api)
    arn = created["arn"]

    on = (await api.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True))["ingestConfiguration"]
    again = (await api.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True))["ingestConfiguration"]
    assert (
        on
        == again
        == {**created, "redundantIngest": True, "redundantIngestCredentials": on["redundantIngestCredentials"]}
    )

    off = (await api.call("UpdateIngestConfiguration", arn=arn, redundantIngest=False))["ingestConfiguration"]
    assert off == created == await get(api, arn)

    on_again = (await api.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True))["ingestConfiguration"]
    old_keys = {credential["streamKey"] for credential in on["redundantIngestCredentials"]}
    assert not old_keys & {credential["streamKey"] for credential in on_again["redundantIngestCredentials"]}


async def test_update_changes_the_stage_and_keeps_stream_key_and_participant(api: AwsApiHarness) -> None:
    created = await create(api)
    for stage_arn in (await api.create_stage(), await api.create_stage(), ""):
        answer = await api.call("UpdateIngestConfiguration", arn=created["arn"], stageArn=stage_arn)
        assert answer["ingestConfiguration"] == {**created, "stageArn": stage_arn} == await get(api, created["arn"])


async def test_update_keeps_absent_members(api: AwsApiHarness) -> None:
    created = await create(api, stageArn=await api.create_stage(), redundantIngest=True)
    answer = await api.call("UpdateIngestConfiguration", arn=created["arn"])
    assert answer["ingestConfiguration"] == created


async def test_update_to_an_unknown_stage_is_not_found_and_changes_nothing(api: AwsApiHarness) -> None:
    created = await create(api)
    with pytest.raises(ResourceNotFoundError, match="stage"):
        await api.call(
            "UpdateIngestConfiguration", arn=created["arn"], stageArn=UNKNOWN_STAGE_ARN, redundantIngest=True
        )
    assert await get(api, created["arn"]) == created


@pytest.mark.parametrize(
    "operation", ["GetIngestConfiguration", "UpdateIngestConfiguration", "DeleteIngestConfiguration"]
)
async def test_an_unknown_configuration_is_not_found(api: AwsApiHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=UNKNOWN_ARN):
        await api.call(operation, arn=UNKNOWN_ARN)


@pytest.mark.parametrize("members", [{}, {"force": False}, {"force": True}])
async def test_a_deleted_configuration_does_not_exist(api: AwsApiHarness, members: dict[str, Json]) -> None:
    arn = (await create(api))["arn"]
    assert await api.call("DeleteIngestConfiguration", arn=arn, **members) is None
    for operation in ("GetIngestConfiguration", "DeleteIngestConfiguration"):
        with pytest.raises(ResourceNotFoundError):
            await api.call(operation, arn=arn)
    assert await api.call("ListIngestConfigurations") == {"ingestConfigurations": []}


async def test_a_list_has_summaries_without_stream_keys_in_order_of_creation(api: AwsApiHarness) -> None:
    created = [await create(api, name=f"ingest{number}", tags={"number": str(number)}) for number in range(7)]
    hidden = {"streamKey", "attributes", "tags"}
    short = [{name: value for name, value in one.items() if name not in hidden} for one in created]
    pages = await api.pages("ListIngestConfigurations", "ingestConfigurations", maxResults=3)
    assert pages == [short[:3], short[3:6], short[6:]]


async def test_the_default_page_size_is_fifty(api: AwsApiHarness) -> None:
    for _ in range(51):
        await create(api)
    assert [len(page) for page in await api.pages("ListIngestConfigurations", "ingestConfigurations")] == [50, 1]


async def test_a_list_is_filtered_by_stage_or_by_state(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    attached = await create(api, stageArn=stage_arn)
    free = await create(api)

    async def listed(**members: str) -> list[str]:
        answer = await api.call("ListIngestConfigurations", **members)
        return [one["arn"] for one in answer["ingestConfigurations"]]

    assert await listed(filterByStageArn=stage_arn) == [attached["arn"]]
    assert await listed(filterByStageArn=UNKNOWN_STAGE_ARN) == []
    assert await listed(filterByState="INACTIVE") == [attached["arn"], free["arn"]]
    assert await listed(filterByState="ACTIVE") == []
    with pytest.raises(InvalidInputError, match="only one filter"):
        await listed(filterByStageArn=stage_arn, filterByState="INACTIVE")


async def test_a_list_has_only_the_configurations_of_the_account(api: AwsApiHarness) -> None:
    await create(api)
    assert (await api.call("ListIngestConfigurations", account_id="210987654321"))["ingestConfigurations"] == []


async def test_the_quota_is_per_account_and_freed_by_deletion(tmp_path: Path) -> None:
    async with open_api(tmp_path, limits=msgspec.structs.replace(STRICT, ingest_configurations=2)) as api:
        created = await asyncio.gather(*(create(api) for _ in range(4)), return_exceptions=True)
        refused = [one for one in created if isinstance(one, ServiceQuotaExceededError)]
        assert [str(one) for one in refused] == ["ingest configurations is at its quota of 2"] * 2
        await api.call("CreateIngestConfiguration", account_id="210987654321", ingestProtocol="RTMPS")
        await api.call("DeleteIngestConfiguration", arn=created[0]["arn"])  # type: ignore[index]  # an answer
        await create(api)


async def test_concurrent_updates_are_all_applied(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    arn = (await create(api))["arn"]
    await asyncio.gather(
        api.call("UpdateIngestConfiguration", arn=arn, stageArn=stage_arn),
        api.call("TagResource", resourceArn=arn, tags={"team": "blue"}),
        api.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True),
        api.call("TagResource", resourceArn=arn, tags={"cost": "1"}),
    )
    returned = await get(api, arn)
    assert (returned["stageArn"], returned["redundantIngest"]) == (stage_arn, True)
    assert returned["tags"] == {"team": "blue", "cost": "1"}


async def test_concurrent_updates_do_not_restore_a_deleted_configuration(api: AwsApiHarness) -> None:
    arn = (await create(api))["arn"]
    _, *late = await asyncio.gather(
        api.call("DeleteIngestConfiguration", arn=arn),
        api.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True),
        api.call("TagResource", resourceArn=arn, tags={"team": "blue"}),
        api.call("UntagResource", resourceArn=arn, tagKeys=["team"]),
        api.call("DeleteIngestConfiguration", arn=arn, force=True),
        return_exceptions=True,
    )
    assert [type(answer) for answer in late] == [ResourceNotFoundError] * 4
    with pytest.raises(ResourceNotFoundError):
        await get(api, arn)


async def test_a_configuration_is_not_attached_to_a_stage_that_is_being_deleted(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    attached, free = (await create(api, stageArn=stage_arn))["arn"], (await create(api))["arn"]
    _, created, updated = await asyncio.gather(
        api.call("DeleteStage", arn=stage_arn),
        create(api, stageArn=stage_arn),
        api.call("UpdateIngestConfiguration", arn=free, stageArn=stage_arn),
        return_exceptions=True,
    )
    assert (type(created), type(updated)) == (InvalidInputError, ResourceNotFoundError)
    assert [(await get(api, arn))["stageArn"] for arn in (attached, free)] == ["", ""]


async def test_deleting_a_stage_detaches_a_configuration_attached_just_before(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    arn = (await create(api))["arn"]
    await asyncio.gather(
        api.call("UpdateIngestConfiguration", arn=arn, stageArn=stage_arn), api.call("DeleteStage", arn=stage_arn)
    )
    assert (await get(api, arn))["stageArn"] == ""
