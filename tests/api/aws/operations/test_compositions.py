"""StartComposition, GetComposition, ListCompositions, StopComposition: there are no compositions."""

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, AwsApiHarness

ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:composition/abcdABCDefgh"
CHANNEL = {"channelArn": f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:channel/abcABCdefDEg"}


async def test_starting_a_composition_is_refused(api: AwsApiHarness) -> None:
    with pytest.raises(InvalidInputError, match="does not compose stages yet") as refused:
        await api.call("StartComposition", stageArn=await api.create_stage(), destinations=[{"channel": CHANNEL}])
    assert refused.value.member == "destinations"
    assert await api.call("ListCompositions") == {"compositions": []}


@pytest.mark.parametrize("operation", ["GetComposition", "StopComposition"])
async def test_no_composition_is_found(api: AwsApiHarness, operation: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=ARN):
        await api.call(operation, arn=ARN)


async def test_an_invalid_page_token_is_refused(api: AwsApiHarness) -> None:
    assert await api.call("ListCompositions", nextToken="") == {"compositions": []}
    with pytest.raises(InvalidInputError, match="nextToken"):
        await api.call("ListCompositions", nextToken="AAAA")
