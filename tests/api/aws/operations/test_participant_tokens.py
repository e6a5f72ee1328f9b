"""CreateParticipantToken."""

import re

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import Capability
from tests.api.aws.operations.aws_api_harness import START_MS, AwsApiHarness, Json

UNKNOWN_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
ALWAYS = {"participantId", "token", "expirationTime"}


async def token_of(api: AwsApiHarness, **members: Json) -> Json:
    arn = await api.create_stage()
    return (await api.call("CreateParticipantToken", stageArn=arn, **members))["participantToken"]


async def test_a_token_admits_its_participant_to_its_stage(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    created = (await api.call("CreateParticipantToken", stageArn=arn))["participantToken"]
    claims = api.manager.participants.admit(created["token"])
    assert (claims.stage_arn, claims.participant_id) == (arn, created["participantId"])
    assert re.fullmatch(r"[0-9A-Za-z]{12}", created["participantId"])


async def test_the_defaults_are_twelve_hours_and_both_capabilities(api: AwsApiHarness) -> None:
    created = await token_of(api)
    assert created.keys() == ALWAYS
    assert created["expirationTime"] == "2023-04-27T08:30:34.000Z"
    assert START_MS // 1000 * 1000 + 12 * 3_600_000 == 1_682_584_234_000
    assert api.manager.participants.admit(created["token"]).capabilities == frozenset(Capability)


@pytest.mark.parametrize(
    ("minutes", "expiration"), [(1, "2023-04-26T20:31:34.000Z"), (20_160, "2023-05-10T20:30:34.000Z")]
)
async def test_the_duration_is_as_requested(api: AwsApiHarness, minutes: int, expiration: str) -> None:
    created = await token_of(api, duration=minutes)
    assert (created["duration"], created["expirationTime"]) == (minutes, expiration)


@pytest.mark.parametrize(
    "given", [{"userId": "bob"}, {"userId": ""}, {"attributes": {}}, {"attributes": {"role": "höst"}}]
)
async def test_given_members_are_echoed_and_in_the_token(api: AwsApiHarness, given: dict[str, Json]) -> None:
    created = await token_of(api, **given)
    assert created.keys() == ALWAYS | given.keys()
    assert created.items() >= given.items()
    claims = api.manager.participants.admit(created["token"])
    assert (claims.user_id, claims.attributes) == (given.get("userId", ""), given.get("attributes", {}))


@pytest.mark.parametrize("capabilities", [["PUBLISH"], ["SUBSCRIBE"], ["PUBLISH", "SUBSCRIBE"]])
async def test_capabilities_are_echoed_and_in_the_token(api: AwsApiHarness, capabilities: list[str]) -> None:
    created = await token_of(api, capabilities=capabilities)
    assert created["capabilities"] == capabilities
    assert api.manager.participants.admit(created["token"]).capabilities == set(capabilities)


async def test_an_empty_list_of_capabilities_means_both(api: AwsApiHarness) -> None:
    created = await token_of(api, capabilities=[])
    assert created["capabilities"] == ["PUBLISH", "SUBSCRIBE"]
    assert api.manager.participants.admit(created["token"]).capabilities == frozenset(Capability)


async def test_attributes_have_at_most_1024_bytes_of_utf_8(api: AwsApiHarness) -> None:
    attributes = {"k" * 24: "é" * 500}
    assert (await token_of(api, attributes=attributes))["attributes"] == attributes
    with pytest.raises(InvalidInputError) as refused:
        await token_of(api, attributes={"k" * 25: "é" * 500})
    assert refused.value.member == "attributes"


async def test_each_token_has_a_new_participant_id(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    created = [(await api.call("CreateParticipantToken", stageArn=arn))["participantToken"] for _ in range(3)]
    assert len({token["participantId"] for token in created}) == 3


async def test_an_unknown_stage_is_not_found(api: AwsApiHarness) -> None:
    with pytest.raises(ResourceNotFoundError):
        await api.call("CreateParticipantToken", stageArn=UNKNOWN_ARN)
