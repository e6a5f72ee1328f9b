"""StartComposition, GetComposition, ListCompositions, StopComposition, as long as there are none."""

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.house import ACCOUNT_ID, ManagerHarness

ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:composition/abcdABCDefgh"
CHANNEL = {"channelArn": f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:channel/abcABCdefDEg"}


async def test_a_start_is_refused_by_name_and_starts_nothing(house: ManagerHarness) -> None:
    with pytest.raises(InvalidInputError, match="does not compose stages yet") as refused:
        await house.call("StartComposition", stageArn=await house.create_stage(), destinations=[{"channel": CHANNEL}])
    assert refused.value.member == "destinations"
    assert await house.call("ListCompositions") == {"compositions": []}


@pytest.mark.parametrize("operation", ["GetComposition", "StopComposition"])
async def test_none_is_found(house: ManagerHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=ARN):
        await house.call(operation, arn=ARN)


async def test_a_page_token_that_nobody_gave_is_refused(house: ManagerHarness) -> None:
    assert await house.call("ListCompositions", nextToken="") == {"compositions": []}
    with pytest.raises(InvalidInputError, match="nextToken"):
        await house.call("ListCompositions", nextToken="AAAA")
