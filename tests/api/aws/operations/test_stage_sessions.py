"""ListStageSessions and GetStageSession."""

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.aws_api_harness import AwsApiHarness

UNKNOWN_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
UNKNOWN_SESSION = "st-a1b2c3d4e5f6g"


async def test_a_new_stage_has_no_sessions(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    assert await api.call("ListStageSessions", stageArn=arn) == {"stageSessions": []}


async def test_an_unknown_stage_has_no_sessions(api: AwsApiHarness) -> None:
    assert await api.call("ListStageSessions", stageArn=UNKNOWN_ARN) == {"stageSessions": []}


async def test_an_active_session_has_no_end(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    answer = await api.call("GetStageSession", stageArn=joined.stage_arn, sessionId=joined.session_id)
    assert answer == {"stageSession": {"sessionId": joined.session_id, "startTime": "2023-04-26T20:30:34.250Z"}}


async def test_a_session_ends_when_the_linger_time_after_the_last_participant_is_over(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    api.clock.time_ms += 60_000
    await api.end_session(joined)
    session = {
        "sessionId": joined.session_id,
        "startTime": "2023-04-26T20:30:34.250Z",
        "endTime": "2023-04-26T20:31:35.250Z",
    }
    answer = await api.call("GetStageSession", stageArn=joined.stage_arn, sessionId=joined.session_id)
    assert answer == {"stageSession": session}
    assert await api.call("ListStageSessions", stageArn=joined.stage_arn) == {"stageSessions": [session]}


async def test_sessions_are_listed_newest_first_in_pages(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    session_ids = []
    for _ in range(3):
        joined = await api.join(arn)
        session_ids.append(joined.session_id)
        api.clock.time_ms += 5_000
        await api.end_session(joined)
    pages = await api.pages("ListStageSessions", "stageSessions", stageArn=arn, maxResults=2)
    newest_first = session_ids[::-1]
    assert [[session["sessionId"] for session in page] for page in pages] == [newest_first[:2], newest_first[2:]]


@pytest.mark.parametrize("of_known_stage", [True, False])
async def test_an_unknown_session_is_not_found(api: AwsApiHarness, of_known_stage: bool) -> None:  # noqa: FBT001 - a parameter
    arn = await api.create_stage() if of_known_stage else UNKNOWN_ARN
    with pytest.raises(ResourceNotFoundError):
        await api.call("GetStageSession", stageArn=arn, sessionId=UNKNOWN_SESSION)


async def test_a_token_of_another_stage_is_refused(api: AwsApiHarness) -> None:
    first, second = await api.create_stage(), await api.create_stage()
    for _ in range(2):
        await api.end_session(await api.join(first))
    token = (await api.call("ListStageSessions", stageArn=first, maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError):
        await api.call("ListStageSessions", stageArn=second, maxResults=1, nextToken=token)
