"""ListParticipantEvents: order, pages and tokens over a real book. The form of one event: test_event_page.py."""

from pathlib import Path

import pytest

from stagebook.stage.errors import InvalidInputError
from stagebook.stage.resources import ClientInfo
from tests.api.aws.operations.house import ManagerHarness, Visit, open_house

UNKNOWN = {
    "stageArn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    "sessionId": "st-a1b2c3d4e5f6g",
    "participantId": "abCDEf12GHIj",
}


async def a_participant_who_left(house: ManagerHarness) -> Visit:
    visit = await house.join(await house.create_stage())
    house.clock.time_ms += 5_000
    await visit.leave()
    return visit


async def test_events_come_newest_first(house: ManagerHarness) -> None:
    visit = await a_participant_who_left(house)
    assert await house.call("ListParticipantEvents", **visit.names) == {
        "events": [
            {"name": "LEFT", "eventTime": "2023-04-26T20:30:39.250Z", "participantId": visit.participant_id},
            {"name": "JOINED", "eventTime": "2023-04-26T20:30:34.250Z", "participantId": visit.participant_id},
        ]
    }


async def test_the_order_can_be_turned_round(tmp_path: Path) -> None:
    async with open_house(tmp_path, oldest_first=True) as house:
        visit = await a_participant_who_left(house)
        pages = await house.pages("ListParticipantEvents", "events", **visit.names, maxResults=1)
        assert [[event["name"] for event in page] for page in pages] == [["JOINED"], ["LEFT"]]


async def test_what_is_unknown_has_no_events(house: ManagerHarness) -> None:
    visit = await a_participant_who_left(house)
    for member in UNKNOWN:
        names = {**visit.names, member: UNKNOWN[member]}
        assert await house.call("ListParticipantEvents", **names) == {"events": []}


async def test_a_full_last_page_has_no_token(house: ManagerHarness) -> None:
    visit = await a_participant_who_left(house)
    assert "nextToken" not in await house.call("ListParticipantEvents", **visit.names, maxResults=2)
    assert "nextToken" in await house.call("ListParticipantEvents", **visit.names, maxResults=1)


async def test_a_page_has_fifty_events_unless_told(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    claims = house.manager.admit(visit.token)
    for _ in range(30):
        await visit.leave()
        visit.connection_id = await house.manager.open_events(claims, watcher=visit.onlooker, client=ClientInfo())
    pages = await house.pages("ListParticipantEvents", "events", **visit.names)
    assert [len(page) for page in pages] == [50, 11]


async def test_pages_are_stable_while_events_arrive(house: ManagerHarness) -> None:
    visit = await a_participant_who_left(house)
    first = await house.call("ListParticipantEvents", **visit.names, maxResults=1)
    await house.manager.open_events(house.manager.admit(visit.token), watcher=visit.onlooker, client=ClientInfo())
    second = await house.call("ListParticipantEvents", **visit.names, maxResults=1, nextToken=first["nextToken"])
    assert [event["name"] for event in first["events"] + second["events"]] == ["LEFT", "JOINED"]


@pytest.mark.parametrize("member", list(UNKNOWN))
async def test_a_token_of_other_names_is_refused(house: ManagerHarness, member: str) -> None:
    visit = await a_participant_who_left(house)
    token = (await house.call("ListParticipantEvents", **visit.names, maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError) as refused:
        await house.call("ListParticipantEvents", **{**visit.names, member: UNKNOWN[member]}, nextToken=token)
    assert refused.value.member == "nextToken"
