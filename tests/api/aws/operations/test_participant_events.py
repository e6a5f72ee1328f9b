"""ListParticipantEvents: order, pages and page tokens. The encoding of one event is in test_event_page.py."""

from pathlib import Path

import pytest

from stagebook.stage.errors import InvalidInputError
from stagebook.stage.resources import ClientInfo
from tests.api.aws.operations.aws_api_harness import AwsApiHarness, JoinedParticipant, open_api

UNKNOWN = {
    "stageArn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    "sessionId": "st-a1b2c3d4e5f6g",
    "participantId": "abCDEf12GHIj",
}


async def join_and_leave(api: AwsApiHarness) -> JoinedParticipant:
    joined = await api.join(await api.create_stage())
    api.clock.time_ms += 5_000
    await joined.leave()
    return joined


async def test_events_come_newest_first(api: AwsApiHarness) -> None:
    joined = await join_and_leave(api)
    assert await api.call("ListParticipantEvents", **joined.identifiers) == {
        "events": [
            {"name": "LEFT", "eventTime": "2023-04-26T20:30:39.250Z", "participantId": joined.participant_id},
            {"name": "JOINED", "eventTime": "2023-04-26T20:30:34.250Z", "participantId": joined.participant_id},
        ]
    }


async def test_the_order_can_be_reversed(tmp_path: Path) -> None:
    async with open_api(tmp_path, oldest_first=True) as api:
        joined = await join_and_leave(api)
        pages = await api.pages("ListParticipantEvents", "events", **joined.identifiers, maxResults=1)
        assert [[event["name"] for event in page] for page in pages] == [["JOINED"], ["LEFT"]]


async def test_an_unknown_stage_session_or_participant_has_no_events(api: AwsApiHarness) -> None:
    joined = await join_and_leave(api)
    for member in UNKNOWN:
        names = {**joined.identifiers, member: UNKNOWN[member]}
        assert await api.call("ListParticipantEvents", **names) == {"events": []}


async def test_a_full_last_page_has_no_token(api: AwsApiHarness) -> None:
    joined = await join_and_leave(api)
    assert "nextToken" not in await api.call("ListParticipantEvents", **joined.identifiers, maxResults=2)
    assert "nextToken" in await api.call("ListParticipantEvents", **joined.identifiers, maxResults=1)


async def test_the_default_page_size_is_fifty_events(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    claims = api.manager.participants.admit(joined.token)
    for _ in range(30):
        await joined.leave()
        joined.connection_id = await api.manager.participants.open_events(
            claims, watcher=joined.watcher, client=ClientInfo()
        )
    pages = await api.pages("ListParticipantEvents", "events", **joined.identifiers)
    assert [len(page) for page in pages] == [50, 11]


async def test_pages_are_stable_while_events_arrive(api: AwsApiHarness) -> None:
    joined = await join_and_leave(api)
    first = await api.call("ListParticipantEvents", **joined.identifiers, maxResults=1)
    await api.manager.participants.open_events(
        api.manager.participants.admit(joined.token), watcher=joined.watcher, client=ClientInfo()
    )
    second = await api.call("ListParticipantEvents", **joined.identifiers, maxResults=1, nextToken=first["nextToken"])
    assert [event["name"] for event in first["events"] + second["events"]] == ["LEFT", "JOINED"]


@pytest.mark.parametrize("member", list(UNKNOWN))
async def test_a_page_token_of_another_participant_is_refused(api: AwsApiHarness, member: str) -> None:
    joined = await join_and_leave(api)
    token = (await api.call("ListParticipantEvents", **joined.identifiers, maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError) as refused:
        await api.call("ListParticipantEvents", **{**joined.identifiers, member: UNKNOWN[member]}, nextToken=token)
    assert refused.value.member == "nextToken"
