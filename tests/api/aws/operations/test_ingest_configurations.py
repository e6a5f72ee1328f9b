"""CreateIngestConfiguration, GetIngestConfiguration, ListIngestConfigurations, Update-, DeleteIngestConfiguration."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import STRICT
from tests.api.aws.operations.house import ACCOUNT_ID, Json, ManagerHarness, open_house

UNKNOWN_STAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/abcdABCDefgh"
UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:ingest-configuration/abcdABCDefgh"


async def create(house: ManagerHarness, **members: Json) -> Json:
    answer = await house.call("CreateIngestConfiguration", **{"ingestProtocol": "RTMPS", **members})
    return answer["ingestConfiguration"]


async def get(house: ManagerHarness, arn: str) -> Json:
    return (await house.call("GetIngestConfiguration", arn=arn))["ingestConfiguration"]


def form(resource_id: str) -> str:
    return rf"rt_{ACCOUNT_ID}_us-west-2_{resource_id}_[0-9A-Za-z]{{30}}"


async def test_a_new_configuration_is_shown_whole(house: ManagerHarness) -> None:
    shown = await create(house, name="ingest1")
    arn, key, participant_id = shown.pop("arn"), shown.pop("streamKey"), shown.pop("participantId")
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:ingest-configuration/[0-9A-Za-z]{{12}}", arn)
    assert re.fullmatch(form(arn[-12:]), key)
    assert re.fullmatch("[0-9A-Za-z]{12}", participant_id)
    assert shown == {
        "name": "ingest1",
        "ingestProtocol": "RTMPS",
        "stageArn": "",
        "state": "INACTIVE",
        "userId": "",
        "redundantIngest": False,
        "attributes": {},
        "tags": {},
    }


async def test_everything_that_was_given_is_kept(house: ManagerHarness) -> None:
    given = {
        "name": "ingest1",
        "stageArn": await house.create_stage(),
        "userId": "Zoë",
        "attributes": {"role": "host"},
        "ingestProtocol": "RTMP",
        "redundantIngest": True,
        "tags": {"team": "blue"},
    }
    made = await create(house, **given, insecureIngest=True)
    assert made.items() >= given.items()
    assert await get(house, made["arn"]) == made


@pytest.mark.parametrize(("given", "shown"), [("rtmps", "RTMPS"), ("rtmp", "RTMP"), ("RTMP", "RTMP")])
async def test_the_protocol_is_taken_in_small_letters_too(house: ManagerHarness, given: str, shown: str) -> None:
    assert (await create(house, ingestProtocol=given, insecureIngest=True))["ingestProtocol"] == shown


@pytest.mark.parametrize("members", [{}, {"insecureIngest": False}])
async def test_rtmp_must_be_allowed_as_insecure(house: ManagerHarness, members: dict[str, Json]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(house, ingestProtocol="RTMP", **members)
    assert refused.value.member == "insecureIngest"
    assert (await create(house, ingestProtocol="RTMPS", **members))["ingestProtocol"] == "RTMPS"


async def test_an_unknown_stage_is_an_invalid_input_of_create(house: ManagerHarness) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(house, stageArn=UNKNOWN_STAGE_ARN)
    assert refused.value.member == "stageArn"
    assert await house.call("ListIngestConfigurations") == {"ingestConfigurations": []}


@pytest.mark.parametrize(("member", "value"), [("attributes", {"key": "v" * 1_022}), ("tags", {"aws:team": "blue"})])
async def test_too_large_attributes_and_reserved_tags_are_refused(
    house: ManagerHarness, member: str, value: Json
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await create(house, **{member: value})
    assert refused.value.member == member


async def test_redundant_ingest_has_two_credentials_of_its_own(house: ManagerHarness) -> None:
    made = await create(house, redundantIngest=True)
    credentials = made["redundantIngestCredentials"]
    assert len(credentials) == 2
    assert all(re.fullmatch(form(made["arn"][-12:]), credential["streamKey"]) for credential in credentials)
    everything = [made, *credentials]
    assert len({one["streamKey"] for one in everything}) == len({one["participantId"] for one in everything}) == 3


async def test_redundant_ingest_is_switched_on_and_off_by_update(house: ManagerHarness) -> None:
    made = await create(house)
    arn = made["arn"]

    on = (await house.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True))["ingestConfiguration"]
    again = (await house.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True))["ingestConfiguration"]
    assert (
        on == again == {**made, "redundantIngest": True, "redundantIngestCredentials": on["redundantIngestCredentials"]}
    )

    off = (await house.call("UpdateIngestConfiguration", arn=arn, redundantIngest=False))["ingestConfiguration"]
    assert off == made == await get(house, arn)

    anew = (await house.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True))["ingestConfiguration"]
    old_keys = {credential["streamKey"] for credential in on["redundantIngestCredentials"]}
    assert not old_keys & {credential["streamKey"] for credential in anew["redundantIngestCredentials"]}


async def test_update_moves_it_from_stage_to_stage_and_keeps_key_and_participant(house: ManagerHarness) -> None:
    made = await create(house)
    for stage_arn in (await house.create_stage(), await house.create_stage(), ""):
        answer = await house.call("UpdateIngestConfiguration", arn=made["arn"], stageArn=stage_arn)
        assert answer["ingestConfiguration"] == {**made, "stageArn": stage_arn} == await get(house, made["arn"])


async def test_update_leaves_what_is_absent(house: ManagerHarness) -> None:
    made = await create(house, stageArn=await house.create_stage(), redundantIngest=True)
    answer = await house.call("UpdateIngestConfiguration", arn=made["arn"])
    assert answer["ingestConfiguration"] == made


async def test_update_to_an_unknown_stage_is_not_found_and_changes_nothing(house: ManagerHarness) -> None:
    made = await create(house)
    with pytest.raises(ResourceNotFoundError, match="stage"):
        await house.call("UpdateIngestConfiguration", arn=made["arn"], stageArn=UNKNOWN_STAGE_ARN, redundantIngest=True)
    assert await get(house, made["arn"]) == made


@pytest.mark.parametrize(
    "operation", ["GetIngestConfiguration", "UpdateIngestConfiguration", "DeleteIngestConfiguration"]
)
async def test_an_unknown_configuration_is_not_found(house: ManagerHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=UNKNOWN_ARN):
        await house.call(operation, arn=UNKNOWN_ARN)


@pytest.mark.parametrize("members", [{}, {"force": False}, {"force": True}])
async def test_a_deleted_configuration_is_gone(house: ManagerHarness, members: dict[str, Json]) -> None:
    arn = (await create(house))["arn"]
    assert await house.call("DeleteIngestConfiguration", arn=arn, **members) is None
    for operation in ("GetIngestConfiguration", "DeleteIngestConfiguration"):
        with pytest.raises(ResourceNotFoundError):
            await house.call(operation, arn=arn)
    assert await house.call("ListIngestConfigurations") == {"ingestConfigurations": []}


async def test_a_list_shows_them_in_short_in_order_of_creation_without_keys(house: ManagerHarness) -> None:
    made = [await create(house, name=f"ingest{number}", tags={"number": str(number)}) for number in range(7)]
    hidden = {"streamKey", "attributes", "tags"}
    short = [{name: value for name, value in one.items() if name not in hidden} for one in made]
    pages = await house.pages("ListIngestConfigurations", "ingestConfigurations", maxResults=3)
    assert pages == [short[:3], short[3:6], short[6:]]


async def test_a_page_has_fifty_by_default(house: ManagerHarness) -> None:
    for _ in range(51):
        await create(house)
    assert [len(page) for page in await house.pages("ListIngestConfigurations", "ingestConfigurations")] == [50, 1]


async def test_a_list_is_filtered_by_stage_or_by_state(house: ManagerHarness) -> None:
    stage_arn = await house.create_stage()
    attached = await create(house, stageArn=stage_arn)
    free = await create(house)

    async def listed(**members: str) -> list[str]:
        answer = await house.call("ListIngestConfigurations", **members)
        return [one["arn"] for one in answer["ingestConfigurations"]]

    assert await listed(filterByStageArn=stage_arn) == [attached["arn"]]
    assert await listed(filterByStageArn=UNKNOWN_STAGE_ARN) == []
    assert await listed(filterByState="INACTIVE") == [attached["arn"], free["arn"]]
    assert await listed(filterByState="ACTIVE") == []
    with pytest.raises(InvalidInputError, match="only one filter"):
        await listed(filterByStageArn=stage_arn, filterByState="INACTIVE")


async def test_accounts_do_not_see_each_others(house: ManagerHarness) -> None:
    await create(house)
    assert (await house.call("ListIngestConfigurations", account_id="210987654321"))["ingestConfigurations"] == []


async def test_the_quota_is_of_one_account_and_frees_with_deletion(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=msgspec.structs.replace(STRICT, ingest_configurations=2)) as house:
        made = await asyncio.gather(*(create(house) for _ in range(4)), return_exceptions=True)
        refused = [one for one in made if isinstance(one, ServiceQuotaExceededError)]
        assert [str(one) for one in refused] == ["ingest configurations is at its quota of 2"] * 2
        await house.call("CreateIngestConfiguration", account_id="210987654321", ingestProtocol="RTMPS")
        await house.call("DeleteIngestConfiguration", arn=made[0]["arn"])  # type: ignore[index]  # an answer
        await create(house)


async def test_updates_at_once_lose_nothing(house: ManagerHarness) -> None:
    stage_arn = await house.create_stage()
    arn = (await create(house))["arn"]
    await asyncio.gather(
        house.call("UpdateIngestConfiguration", arn=arn, stageArn=stage_arn),
        house.call("TagResource", resourceArn=arn, tags={"team": "blue"}),
        house.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True),
        house.call("TagResource", resourceArn=arn, tags={"cost": "1"}),
    )
    shown = await get(house, arn)
    assert (shown["stageArn"], shown["redundantIngest"]) == (stage_arn, True)
    assert shown["tags"] == {"team": "blue", "cost": "1"}


async def test_nothing_brings_a_configuration_back_that_is_being_deleted(house: ManagerHarness) -> None:
    arn = (await create(house))["arn"]
    _, *late = await asyncio.gather(
        house.call("DeleteIngestConfiguration", arn=arn),
        house.call("UpdateIngestConfiguration", arn=arn, redundantIngest=True),
        house.call("TagResource", resourceArn=arn, tags={"team": "blue"}),
        house.call("UntagResource", resourceArn=arn, tagKeys=["team"]),
        house.call("DeleteIngestConfiguration", arn=arn, force=True),
        return_exceptions=True,
    )
    assert [type(answer) for answer in late] == [ResourceNotFoundError] * 4
    with pytest.raises(ResourceNotFoundError):
        await get(house, arn)


async def test_nothing_is_attached_to_a_stage_that_is_being_deleted(house: ManagerHarness) -> None:
    stage_arn = await house.create_stage()
    attached, free = (await create(house, stageArn=stage_arn))["arn"], (await create(house))["arn"]
    _, created, updated = await asyncio.gather(
        house.call("DeleteStage", arn=stage_arn),
        create(house, stageArn=stage_arn),
        house.call("UpdateIngestConfiguration", arn=free, stageArn=stage_arn),
        return_exceptions=True,
    )
    assert (type(created), type(updated)) == (InvalidInputError, ResourceNotFoundError)
    assert [(await get(house, arn))["stageArn"] for arn in (attached, free)] == ["", ""]


async def test_what_is_attached_just_before_the_deletion_is_cleared(house: ManagerHarness) -> None:
    stage_arn = await house.create_stage()
    arn = (await create(house))["arn"]
    await asyncio.gather(
        house.call("UpdateIngestConfiguration", arn=arn, stageArn=stage_arn), house.call("DeleteStage", arn=stage_arn)
    )
    assert (await get(house, arn))["stageArn"] == ""
