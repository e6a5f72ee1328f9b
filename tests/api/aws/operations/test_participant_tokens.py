"""CreateParticipantToken."""

import re

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import Capability
from tests.api.aws.operations.house import START_MS, Json, ManagerHarness

UNKNOWN_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
ALWAYS = {"participantId", "token", "expirationTime"}


async def token_of(house: ManagerHarness, **members: Json) -> Json:
    arn = await house.create_stage()
    return (await house.call("CreateParticipantToken", stageArn=arn, **members))["participantToken"]


async def test_a_token_admits_to_its_stage_as_its_participant(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    made = (await house.call("CreateParticipantToken", stageArn=arn))["participantToken"]
    claims = house.manager.admit(made["token"])
    assert (claims.stage_arn, claims.participant_id) == (arn, made["participantId"])
    assert re.fullmatch(r"[0-9A-Za-z]{12}", made["participantId"])


async def test_without_a_wish_it_lasts_twelve_hours_and_may_do_both_and_echoes_nothing(house: ManagerHarness) -> None:
    made = await token_of(house)
    assert made.keys() == ALWAYS
    assert made["expirationTime"] == "2023-04-27T08:30:34.000Z"
    assert START_MS // 1000 * 1000 + 12 * 3_600_000 == 1_682_584_234_000
    assert house.manager.admit(made["token"]).capabilities == frozenset(Capability)


@pytest.mark.parametrize(
    ("minutes", "expiration"), [(1, "2023-04-26T20:31:34.000Z"), (20_160, "2023-05-10T20:30:34.000Z")]
)
async def test_it_lasts_as_long_as_asked(house: ManagerHarness, minutes: int, expiration: str) -> None:
    made = await token_of(house, duration=minutes)
    assert (made["duration"], made["expirationTime"]) == (minutes, expiration)


@pytest.mark.parametrize(
    "given", [{"userId": "bob"}, {"userId": ""}, {"attributes": {}}, {"attributes": {"role": "höst"}}]
)
async def test_what_was_given_is_echoed_and_in_the_token(house: ManagerHarness, given: dict[str, Json]) -> None:
    made = await token_of(house, **given)
    assert made.keys() == ALWAYS | given.keys()
    assert made.items() >= given.items()
    claims = house.manager.admit(made["token"])
    assert (claims.user_id, claims.attributes) == (given.get("userId", ""), given.get("attributes", {}))


@pytest.mark.parametrize("capabilities", [["PUBLISH"], ["SUBSCRIBE"], ["PUBLISH", "SUBSCRIBE"]])
async def test_capabilities_are_echoed_and_in_the_token(house: ManagerHarness, capabilities: list[str]) -> None:
    made = await token_of(house, capabilities=capabilities)
    assert made["capabilities"] == capabilities
    assert house.manager.admit(made["token"]).capabilities == set(capabilities)


async def test_an_empty_list_of_capabilities_means_both_and_says_so(house: ManagerHarness) -> None:
    made = await token_of(house, capabilities=[])
    assert made["capabilities"] == ["PUBLISH", "SUBSCRIBE"]
    assert house.manager.admit(made["token"]).capabilities == frozenset(Capability)


async def test_attributes_may_have_1024_bytes_of_utf_8_and_no_more(house: ManagerHarness) -> None:
    attributes = {"k" * 24: "é" * 500}
    assert (await token_of(house, attributes=attributes))["attributes"] == attributes
    with pytest.raises(InvalidInputError) as refused:
        await token_of(house, attributes={"k" * 25: "é" * 500})
    assert refused.value.member == "attributes"


async def test_each_token_is_of_a_participant_of_its_own(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    made = [(await house.call("CreateParticipantToken", stageArn=arn))["participantToken"] for _ in range(3)]
    assert len({token["participantId"] for token in made}) == 3


async def test_an_unknown_stage_is_not_found(house: ManagerHarness) -> None:
    with pytest.raises(ResourceNotFoundError):
        await house.call("CreateParticipantToken", stageArn=UNKNOWN_ARN)
