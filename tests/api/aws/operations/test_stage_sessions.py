"""ListStageSessions and GetStageSession."""

import pytest

from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from tests.api.aws.operations.house import ManagerHarness

UNKNOWN_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
UNKNOWN_SESSION = "st-a1b2c3d4e5f6g"


async def test_a_fresh_stage_has_no_sessions(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    assert await house.call("ListStageSessions", stageArn=arn) == {"stageSessions": []}


async def test_an_unknown_stage_has_no_sessions(house: ManagerHarness) -> None:
    assert await house.call("ListStageSessions", stageArn=UNKNOWN_ARN) == {"stageSessions": []}


async def test_an_active_session_has_no_end(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    answer = await house.call("GetStageSession", stageArn=visit.stage_arn, sessionId=visit.session_id)
    assert answer == {"stageSession": {"sessionId": visit.session_id, "startTime": "2023-04-26T20:30:34.250Z"}}


async def test_a_session_ends_after_the_last_has_left_and_the_linger(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    house.clock.time_ms += 60_000
    await house.end_session(visit)
    session = {
        "sessionId": visit.session_id,
        "startTime": "2023-04-26T20:30:34.250Z",
        "endTime": "2023-04-26T20:31:35.250Z",
    }
    answer = await house.call("GetStageSession", stageArn=visit.stage_arn, sessionId=visit.session_id)
    assert answer == {"stageSession": session}
    assert await house.call("ListStageSessions", stageArn=visit.stage_arn) == {"stageSessions": [session]}


async def test_sessions_come_newest_first_and_in_pages(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    session_ids = []
    for _ in range(3):
        visit = await house.join(arn)
        session_ids.append(visit.session_id)
        house.clock.time_ms += 5_000
        await house.end_session(visit)
    pages = await house.pages("ListStageSessions", "stageSessions", stageArn=arn, maxResults=2)
    newest_first = session_ids[::-1]
    assert [[session["sessionId"] for session in page] for page in pages] == [newest_first[:2], newest_first[2:]]


@pytest.mark.parametrize("of_known_stage", [True, False])
async def test_an_unknown_session_is_not_found(house: ManagerHarness, of_known_stage: bool) -> None:  # noqa: FBT001 - a case
    arn = await house.create_stage() if of_known_stage else UNKNOWN_ARN
    with pytest.raises(ResourceNotFoundError):
        await house.call("GetStageSession", stageArn=arn, sessionId=UNKNOWN_SESSION)


async def test_a_token_of_another_stage_is_refused(house: ManagerHarness) -> None:
    first, second = await house.create_stage(), await house.create_stage()
    for _ in range(2):
        await house.end_session(await house.join(first))
    token = (await house.call("ListStageSessions", stageArn=first, maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError):
        await house.call("ListStageSessions", stageArn=second, maxResults=1, nextToken=token)
