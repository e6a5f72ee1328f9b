"""StartParticipantReplication, StopParticipantReplication and ListParticipantReplicas."""

import pytest

from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import ClientInfo
from tests.api.aws.operations.aws_api_harness import AwsApiHarness, JoinedParticipant, Json


async def publish(api: AwsApiHarness, stage_arn: str, **token: Json) -> JoinedParticipant:
    joined = await api.join(stage_arn, **token)
    await joined.publish()
    return joined


def replication(joined: JoinedParticipant, destination_arn: str) -> dict[str, str]:
    """Return the input members that identify a replication."""
    return {
        "sourceStageArn": joined.stage_arn,
        "destinationStageArn": destination_arn,
        "participantId": joined.participant_id,
    }


async def replicas(api: AwsApiHarness, joined: JoinedParticipant) -> Json:
    answer = await api.call(
        "ListParticipantReplicas", sourceStageArn=joined.stage_arn, participantId=joined.participant_id
    )
    return answer["replicas"]


async def test_starting_and_stopping_have_empty_bodies(api: AwsApiHarness) -> None:
    joined, destination = await publish(api, await api.create_stage()), await api.create_stage()

    assert await api.call("StartParticipantReplication", **replication(joined, destination)) is None
    assert await api.call("StopParticipantReplication", **replication(joined, destination)) is None


async def test_a_replica_is_listed_with_source_destination_and_state(api: AwsApiHarness) -> None:
    joined, destination = await publish(api, await api.create_stage()), await api.create_stage()
    await api.call("StartParticipantReplication", **replication(joined, destination))
    session_id = (await api.call("GetStage", arn=destination))["stage"]["activeSessionId"]
    expected = {
        **replication(joined, destination),
        "sourceSessionId": joined.session_id,
        "destinationSessionId": session_id,
    }

    assert await replicas(api, joined) == [{**expected, "replicationState": "ACTIVE"}]
    await api.call("StopParticipantReplication", **replication(joined, destination))
    assert await replicas(api, joined) == [{**expected, "replicationState": "STOPPED"}]


async def test_source_and_replica_are_shown_on_their_stages(api: AwsApiHarness) -> None:
    source = await api.create_stage()
    joined = await publish(api, source, userId="ada", attributes={"role": "host", "team": "blue"})
    destination = await api.create_stage()
    await api.call("StartParticipantReplication", **replication(joined, destination), attributes={"role": "guest"})
    session_id = (await api.call("GetStage", arn=destination))["stage"]["activeSessionId"]
    there = {"stageArn": destination, "sessionId": session_id, "participantId": joined.participant_id}

    replica = (await api.call("GetParticipant", **there))["participant"]
    original = (await api.call("GetParticipant", **joined.identifiers))["participant"]

    assert (
        replica.items()
        >= {
            "participantId": joined.participant_id,
            "userId": "ada",
            "attributes": {"role": "guest", "team": "blue"},
            "state": "CONNECTED",
            "published": True,
            "protocol": "WHIP",
            "replicationType": "REPLICA",
            "replicationState": "ACTIVE",
            "sourceStageArn": source,
            "sourceSessionId": joined.session_id,
        }.items()
    )
    assert (original["replicationType"], original["replicationState"]) == ("SOURCE", "ACTIVE")
    assert original["attributes"] == {"role": "host", "team": "blue"}
    assert not {"sourceStageArn", "sourceSessionId"} & original.keys()


async def test_source_events_name_the_destination_and_destination_events_are_marked_replica(api: AwsApiHarness) -> None:
    joined, destination = await publish(api, await api.create_stage()), await api.create_stage()
    await api.call("StartParticipantReplication", **replication(joined, destination))
    session_id = (await api.call("GetStage", arn=destination))["stage"]["activeSessionId"]
    await api.call("StopParticipantReplication", **replication(joined, destination))
    there = {"stageArn": destination, "sessionId": session_id, "participantId": joined.participant_id}

    at_source = (await api.call("ListParticipantEvents", **joined.identifiers))["events"]
    at_destination = (await api.call("ListParticipantEvents", **there))["events"]

    where = {"destinationStageArn": destination, "destinationSessionId": session_id}
    assert [event["name"] for event in at_source[:2]] == ["REPLICATION_STOPPED", "REPLICATION_STARTED"]
    assert all(event.items() >= where.items() and "replica" not in event for event in at_source[:2])
    assert [event["name"] for event in at_destination] == ["LEFT", "PUBLISH_STOPPED", "PUBLISH_STARTED", "JOINED"]
    assert all(event["replica"] is True and not where.keys() & event.keys() for event in at_destination)


async def test_replicas_are_listed_newest_first_in_pages(api: AwsApiHarness) -> None:
    joined = await publish(api, await api.create_stage())
    arns = [await api.create_stage() for _ in range(5)]
    for arn in arns:
        await api.call("StartParticipantReplication", **replication(joined, arn))
    names = {"sourceStageArn": joined.stage_arn, "participantId": joined.participant_id}

    pages = await api.pages("ListParticipantReplicas", "replicas", **names, maxResults=2)

    newest_first = arns[::-1]
    returned = [[replica["destinationStageArn"] for replica in page] for page in pages]
    assert returned == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    token = (await api.call("ListParticipantReplicas", **names, maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError, match="nextToken"):
        await api.call("ListParticipantReplicas", **{**names, "participantId": "other"}, nextToken=token)


async def test_an_unknown_participant_has_no_replicas(api: AwsApiHarness) -> None:
    joined = await publish(api, await api.create_stage())
    assert await replicas(api, joined) == []
    answer = await api.call(
        "ListParticipantReplicas", sourceStageArn=joined.stage_arn + "x", participantId=joined.participant_id
    )
    assert answer == {"replicas": []}


async def test_an_invalid_start_or_stop_is_refused(api: AwsApiHarness) -> None:
    viewer, destination = await api.join(await api.create_stage()), await api.create_stage()
    with pytest.raises(ConflictError):
        await api.call("StartParticipantReplication", **replication(viewer, destination))
    with pytest.raises(InvalidInputError, match="destinationStageArn"):
        await api.call("StartParticipantReplication", **replication(viewer, viewer.stage_arn))
    with pytest.raises(ResourceNotFoundError):
        await api.call("StopParticipantReplication", **replication(viewer, destination))


@pytest.mark.parametrize(("window", "state"), [({}, "STOPPED"), ({"reconnectWindowSeconds": 300}, "ACTIVE")])
async def test_there_is_no_reconnect_window_by_default(api: AwsApiHarness, window: Json, state: str) -> None:
    joined, destination = await api.join(await api.create_stage()), await api.create_stage()
    claims = api.manager.participants.admit(joined.token)
    opened = await api.manager.participants.publish(claims, offer="v=0", client=ClientInfo())
    api.engine.connected(opened.connection_id)
    await api.call("StartParticipantReplication", **replication(joined, destination), **window)

    await api.manager.participants.close(claims, connection_id=opened.connection_id)

    assert [replica["replicationState"] for replica in await replicas(api, joined)] == [state]
    api.clock.time_ms += 300_000
    api.manager.tick()
    await joined.settle()
    assert [replica["replicationState"] for replica in await replicas(api, joined)] == ["STOPPED"]
