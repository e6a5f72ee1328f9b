"""ListParticipants, GetParticipant, DisconnectParticipant."""

from itertools import combinations

import pytest

from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, TokenRefusedError
from stagebook.stage.resources import ClientInfo
from tests.api.aws.operations.house import Json, ManagerHarness

UNKNOWN = {
    "stageArn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    "sessionId": "st-a1b2c3d4e5f6g",
}
FILTERS: dict[str, Json] = {
    "filterByUserId": "alice",
    "filterByPublished": False,
    "filterByState": "CONNECTED",
    "filterByRecordingState": "STOPPED",
}


async def test_a_participant_is_shown_whole(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    client = ClientInfo(isp_name="Comcast", os_name="Linux", browser_name="Chromium", browser_version="156")
    visit = await house.join(arn, client=client, userId="alice", attributes={"role": "host"})
    assert await house.call("GetParticipant", **visit.names) == {
        "participant": {
            "participantId": visit.participant_id,
            "userId": "alice",
            "state": "CONNECTED",
            "firstJoinTime": "2023-04-26T20:30:34.250Z",
            "attributes": {"role": "host"},
            "published": False,
            "ispName": "Comcast",
            "osName": "Linux",
            "osVersion": "",
            "browserName": "Chromium",
            "browserVersion": "156",
            "sdkVersion": "",
            "recordingS3BucketName": "",
            "recordingS3Prefix": "",
            "recordingState": "DISABLED",
            "protocol": "UNKNOWN",
            "replicationType": "NONE",
            "redundantIngest": False,
        }
    }


async def test_the_list_shows_a_participant_in_short(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    answer = await house.call("ListParticipants", stageArn=visit.stage_arn, sessionId=visit.session_id)
    assert answer == {
        "participants": [
            {
                "participantId": visit.participant_id,
                "userId": "",
                "state": "CONNECTED",
                "firstJoinTime": "2023-04-26T20:30:34.250Z",
                "published": False,
                "recordingState": "DISABLED",
                "replicationType": "NONE",
                "redundantIngest": False,
            }
        ]
    }


async def test_who_has_left_is_disconnected(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    await visit.leave()
    participant = (await house.call("GetParticipant", **visit.names))["participant"]
    assert (participant["state"], participant["firstJoinTime"]) == ("DISCONNECTED", "2023-04-26T20:30:34.250Z")


async def test_who_has_ever_published_is_shown_so(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    await visit.publish()
    participant = (await house.call("GetParticipant", **visit.names))["participant"]
    assert (participant["published"], participant["protocol"]) == (True, "WHIP")
    for published, expected in ((True, 1), (False, 0)):
        answer = await house.call(
            "ListParticipants", stageArn=visit.stage_arn, sessionId=visit.session_id, filterByPublished=published
        )
        assert len(answer["participants"]) == expected


async def test_an_unknown_participant_is_not_found(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    for names in ({**visit.names, "participantId": "abCDEf12GHIj"}, {**UNKNOWN, "participantId": "abCDEf12GHIj"}):
        with pytest.raises(ResourceNotFoundError):
            await house.call("GetParticipant", **names)


async def test_an_unknown_stage_or_session_has_no_participants(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    assert await house.call("ListParticipants", **UNKNOWN) == {"participants": []}
    assert await house.call("ListParticipants", **{**UNKNOWN, "stageArn": arn}) == {"participants": []}


async def test_participants_come_newest_first_and_in_pages(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    visits = []
    for _ in range(5):
        visits.append(await house.join(arn))
        house.clock.time_ms += 1_000
    pages = await house.pages(
        "ListParticipants", "participants", stageArn=arn, sessionId=visits[0].session_id, maxResults=2
    )
    newest_first = [visit.participant_id for visit in reversed(visits)]
    listed = [[participant["participantId"] for participant in page] for page in pages]
    assert listed == [newest_first[:2], newest_first[2:4], newest_first[4:]]


async def test_each_filter_shows_its_own(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    alice = await house.join(arn, userId="alice")
    bob = await house.join(arn, userId="bob")
    await bob.leave()

    async def listed(**where: Json) -> set[str]:
        answer = await house.call("ListParticipants", stageArn=arn, sessionId=alice.session_id, **where)
        return {participant["participantId"] for participant in answer["participants"]}

    everybody = {alice.participant_id, bob.participant_id}
    assert await listed() == everybody
    assert await listed(filterByUserId="alice") == {alice.participant_id}
    assert await listed(filterByUserId="") == set()
    assert await listed(filterByState="CONNECTED") == {alice.participant_id}
    assert await listed(filterByState="DISCONNECTED") == {bob.participant_id}
    assert await listed(filterByPublished=False) == everybody
    assert await listed(filterByPublished=True) == set()
    assert await listed(filterByRecordingState="DISABLED") == everybody
    for state in ("STARTING", "ACTIVE", "STOPPING", "STOPPED", "FAILED"):
        assert await listed(filterByRecordingState=state) == set()


@pytest.mark.parametrize("pair", list(combinations(FILTERS, 2)), ids="-".join)
async def test_two_filters_are_refused(house: ManagerHarness, pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="only one filter"):
        await house.call("ListParticipants", **UNKNOWN, **{name: FILTERS[name] for name in pair})


async def test_a_token_belongs_to_its_filter(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    visit = await house.join(arn)
    await house.join(arn)
    names = {"stageArn": arn, "sessionId": visit.session_id}
    token = (await house.call("ListParticipants", **names, maxResults=1))["nextToken"]
    others: list[dict[str, Json]] = [{"filterByPublished": False}, {"filterByRecordingState": "STOPPED"}]
    for where in others:
        with pytest.raises(InvalidInputError):
            await house.call("ListParticipants", **names, **where, nextToken=token)


async def test_disconnecting_ends_the_connection_with_its_reason_and_the_token(house: ManagerHarness) -> None:
    visit = await house.join(await house.create_stage())
    names = {"stageArn": visit.stage_arn, "participantId": visit.participant_id}
    assert await house.call("DisconnectParticipant", **names, reason="enough") is None
    assert visit.onlooker.farewells == [(FarewellReason.DISCONNECTED, "enough")]
    assert (await house.call("GetParticipant", **visit.names))["participant"]["state"] == "DISCONNECTED"
    with pytest.raises(TokenRefusedError):
        house.manager.admit(visit.token)


async def test_a_participant_who_never_came_can_be_kept_away(house: ManagerHarness) -> None:
    arn = await house.create_stage()
    made = (await house.call("CreateParticipantToken", stageArn=arn))["participantToken"]
    assert await house.call("DisconnectParticipant", stageArn=arn, participantId=made["participantId"]) is None
    with pytest.raises(TokenRefusedError):
        house.manager.admit(made["token"])


async def test_nobody_is_disconnected_from_an_unknown_stage(house: ManagerHarness) -> None:
    with pytest.raises(ResourceNotFoundError):
        await house.call("DisconnectParticipant", stageArn=UNKNOWN["stageArn"], participantId="abCDEf12GHIj")
