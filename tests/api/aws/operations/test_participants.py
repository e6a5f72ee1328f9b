"""ListParticipants, GetParticipant, DisconnectParticipant."""

from itertools import combinations

import pytest

from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError, TokenRefusedError
from stagebook.stage.resources import ClientInfo
from tests.api.aws.operations.aws_api_harness import AwsApiHarness, Json

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


async def test_a_participant_has_all_members(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    client = ClientInfo(isp_name="Comcast", os_name="Linux", browser_name="Chromium", browser_version="156")
    joined = await api.join(arn, client=client, userId="alice", attributes={"role": "host"})
    assert await api.call("GetParticipant", **joined.identifiers) == {
        "participant": {
            "participantId": joined.participant_id,
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


async def test_the_version_of_the_sdk_is_shown_once_a_publication_has_named_it(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage(), client=ClientInfo(browser_name="Chromium"))
    await joined.publish(client=ClientInfo(browser_name="Chromium", sdk_version="1.41.0"))
    shown = (await api.call("GetParticipant", **joined.identifiers))["participant"]
    assert (shown["browserName"], shown["sdkVersion"]) == ("Chromium", "1.41.0")


async def test_the_list_has_a_summary_of_a_participant(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    answer = await api.call("ListParticipants", stageArn=joined.stage_arn, sessionId=joined.session_id)
    assert answer == {
        "participants": [
            {
                "participantId": joined.participant_id,
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


async def test_a_participant_that_left_is_disconnected(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    await joined.leave()
    participant = (await api.call("GetParticipant", **joined.identifiers))["participant"]
    assert (participant["state"], participant["firstJoinTime"]) == ("DISCONNECTED", "2023-04-26T20:30:34.250Z")


async def test_a_participant_that_has_published_has_published_true(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    await joined.publish()
    participant = (await api.call("GetParticipant", **joined.identifiers))["participant"]
    assert (participant["published"], participant["protocol"]) == (True, "WHIP")
    for published, expected in ((True, 1), (False, 0)):
        answer = await api.call(
            "ListParticipants", stageArn=joined.stage_arn, sessionId=joined.session_id, filterByPublished=published
        )
        assert len(answer["participants"]) == expected


async def test_an_unknown_participant_is_not_found(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    for names in (
        {**joined.identifiers, "participantId": "abCDEf12GHIj"},
        {**UNKNOWN, "participantId": "abCDEf12GHIj"},
    ):
        with pytest.raises(ResourceNotFoundError):
            await api.call("GetParticipant", **names)


async def test_an_unknown_stage_or_session_has_no_participants(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    assert await api.call("ListParticipants", **UNKNOWN) == {"participants": []}
    assert await api.call("ListParticipants", **{**UNKNOWN, "stageArn": arn}) == {"participants": []}


async def test_participants_are_listed_newest_first_in_pages(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    joined_participants = []
    for _ in range(5):
        joined_participants.append(await api.join(arn))
        api.clock.time_ms += 1_000
    pages = await api.pages(
        "ListParticipants", "participants", stageArn=arn, sessionId=joined_participants[0].session_id, maxResults=2
    )
    newest_first = [joined.participant_id for joined in reversed(joined_participants)]
    listed = [[participant["participantId"] for participant in page] for page in pages]
    assert listed == [newest_first[:2], newest_first[2:4], newest_first[4:]]


async def test_each_filter_selects_its_participants(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    alice = await api.join(arn, userId="alice")
    bob = await api.join(arn, userId="bob")
    await bob.leave()

    async def listed(**where: Json) -> set[str]:
        answer = await api.call("ListParticipants", stageArn=arn, sessionId=alice.session_id, **where)
        return {participant["participantId"] for participant in answer["participants"]}

    all_participants = {alice.participant_id, bob.participant_id}
    assert await listed() == all_participants
    assert await listed(filterByUserId="alice") == {alice.participant_id}
    assert await listed(filterByUserId="") == set()
    assert await listed(filterByState="CONNECTED") == {alice.participant_id}
    assert await listed(filterByState="DISCONNECTED") == {bob.participant_id}
    assert await listed(filterByPublished=False) == all_participants
    assert await listed(filterByPublished=True) == set()
    assert await listed(filterByRecordingState="DISABLED") == all_participants
    for state in ("STARTING", "ACTIVE", "STOPPING", "STOPPED", "FAILED"):
        assert await listed(filterByRecordingState=state) == set()


@pytest.mark.parametrize("pair", list(combinations(FILTERS, 2)), ids="-".join)
async def test_two_filters_are_refused(api: AwsApiHarness, pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="only one filter"):
        await api.call("ListParticipants", **UNKNOWN, **{name: FILTERS[name] for name in pair})


async def test_a_page_token_of_another_filter_is_refused(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    joined = await api.join(arn)
    await api.join(arn)
    names = {"stageArn": arn, "sessionId": joined.session_id}
    token = (await api.call("ListParticipants", **names, maxResults=1))["nextToken"]
    others: list[dict[str, Json]] = [{"filterByPublished": False}, {"filterByRecordingState": "STOPPED"}]
    for where in others:
        with pytest.raises(InvalidInputError):
            await api.call("ListParticipants", **names, **where, nextToken=token)


async def test_disconnecting_ends_the_connection_with_its_reason_and_the_token(api: AwsApiHarness) -> None:
    joined = await api.join(await api.create_stage())
    names = {"stageArn": joined.stage_arn, "participantId": joined.participant_id}
    assert await api.call("DisconnectParticipant", **names, reason="enough") is None
    assert joined.watcher.farewells == [(FarewellReason.DISCONNECTED, "enough")]
    assert (await api.call("GetParticipant", **joined.identifiers))["participant"]["state"] == "DISCONNECTED"
    with pytest.raises(TokenRefusedError):
        await api.rejoin(joined.token)


async def test_a_participant_that_never_joined_can_be_disconnected(api: AwsApiHarness) -> None:
    arn = await api.create_stage()
    created = (await api.call("CreateParticipantToken", stageArn=arn))["participantToken"]
    assert await api.call("DisconnectParticipant", stageArn=arn, participantId=created["participantId"]) is None
    with pytest.raises(TokenRefusedError):
        await api.rejoin(created["token"])


async def test_disconnecting_from_an_unknown_stage_is_not_found(api: AwsApiHarness) -> None:
    with pytest.raises(ResourceNotFoundError):
        await api.call("DisconnectParticipant", stageArn=UNKNOWN["stageArn"], participantId="abCDEf12GHIj")
