"""StartParticipantReplication, StopParticipantReplication and ListParticipantReplicas."""

import pytest

from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import ClientInfo
from tests.api.aws.operations.house import Json, ManagerHarness, Visit


async def publish(house: ManagerHarness, stage_arn: str, **token: Json) -> Visit:
    visit = await house.join(stage_arn, **token)
    await visit.publish()
    return visit


def replication(visit: Visit, destination_arn: str) -> dict[str, str]:
    """The members that name a replication."""
    return {
        "sourceStageArn": visit.stage_arn,
        "destinationStageArn": destination_arn,
        "participantId": visit.participant_id,
    }


async def replicas(house: ManagerHarness, visit: Visit) -> Json:
    answer = await house.call(
        "ListParticipantReplicas", sourceStageArn=visit.stage_arn, participantId=visit.participant_id
    )
    return answer["replicas"]


async def test_starting_and_stopping_answer_with_nothing_but_headers(house: ManagerHarness) -> None:
    visit, destination = await publish(house, await house.create_stage()), await house.create_stage()

    assert await house.call("StartParticipantReplication", **replication(visit, destination)) is None
    assert await house.call("StopParticipantReplication", **replication(visit, destination)) is None


async def test_a_replica_is_listed_with_both_ends_and_its_state(house: ManagerHarness) -> None:
    visit, destination = await publish(house, await house.create_stage()), await house.create_stage()
    await house.call("StartParticipantReplication", **replication(visit, destination))
    session_id = (await house.call("GetStage", arn=destination))["stage"]["activeSessionId"]
    expected = {
        **replication(visit, destination),
        "sourceSessionId": visit.session_id,
        "destinationSessionId": session_id,
    }

    assert await replicas(house, visit) == [{**expected, "replicationState": "ACTIVE"}]
    await house.call("StopParticipantReplication", **replication(visit, destination))
    assert await replicas(house, visit) == [{**expected, "replicationState": "STOPPED"}]


async def test_the_participants_of_both_stages_tell_of_it(house: ManagerHarness) -> None:
    source = await house.create_stage()
    visit = await publish(house, source, userId="ada", attributes={"role": "host", "team": "blue"})
    destination = await house.create_stage()
    await house.call("StartParticipantReplication", **replication(visit, destination), attributes={"role": "guest"})
    session_id = (await house.call("GetStage", arn=destination))["stage"]["activeSessionId"]
    there = {"stageArn": destination, "sessionId": session_id, "participantId": visit.participant_id}

    replica = (await house.call("GetParticipant", **there))["participant"]
    original = (await house.call("GetParticipant", **visit.names))["participant"]

    assert (
        replica.items()
        >= {
            "participantId": visit.participant_id,
            "userId": "ada",
            "attributes": {"role": "guest", "team": "blue"},
            "state": "CONNECTED",
            "published": True,
            "protocol": "WHIP",
            "replicationType": "REPLICA",
            "replicationState": "ACTIVE",
            "sourceStageArn": source,
            "sourceSessionId": visit.session_id,
        }.items()
    )
    assert (original["replicationType"], original["replicationState"]) == ("SOURCE", "ACTIVE")
    assert original["attributes"] == {"role": "host", "team": "blue"}
    assert not {"sourceStageArn", "sourceSessionId"} & original.keys()


async def test_events_name_the_destination_at_the_source_and_mark_the_replica(house: ManagerHarness) -> None:
    visit, destination = await publish(house, await house.create_stage()), await house.create_stage()
    await house.call("StartParticipantReplication", **replication(visit, destination))
    session_id = (await house.call("GetStage", arn=destination))["stage"]["activeSessionId"]
    await house.call("StopParticipantReplication", **replication(visit, destination))
    there = {"stageArn": destination, "sessionId": session_id, "participantId": visit.participant_id}

    at_source = (await house.call("ListParticipantEvents", **visit.names))["events"]
    at_destination = (await house.call("ListParticipantEvents", **there))["events"]

    where = {"destinationStageArn": destination, "destinationSessionId": session_id}
    assert [event["name"] for event in at_source[:2]] == ["REPLICATION_STOPPED", "REPLICATION_STARTED"]
    assert all(event.items() >= where.items() and "replica" not in event for event in at_source[:2])
    assert [event["name"] for event in at_destination] == ["LEFT", "PUBLISH_STOPPED", "PUBLISH_STARTED", "JOINED"]
    assert all(event["replica"] is True and not where.keys() & event.keys() for event in at_destination)


async def test_replicas_are_listed_page_by_page_newest_first(house: ManagerHarness) -> None:
    visit = await publish(house, await house.create_stage())
    arns = [await house.create_stage() for _ in range(5)]
    for arn in arns:
        await house.call("StartParticipantReplication", **replication(visit, arn))
    names = {"sourceStageArn": visit.stage_arn, "participantId": visit.participant_id}

    pages = await house.pages("ListParticipantReplicas", "replicas", **names, maxResults=2)

    newest_first = arns[::-1]
    shown = [[replica["destinationStageArn"] for replica in page] for page in pages]
    assert shown == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    token = (await house.call("ListParticipantReplicas", **names, maxResults=1))["nextToken"]
    with pytest.raises(InvalidInputError, match="nextToken"):
        await house.call("ListParticipantReplicas", **{**names, "participantId": "other"}, nextToken=token)


async def test_nothing_is_listed_for_unknown_names(house: ManagerHarness) -> None:
    visit = await publish(house, await house.create_stage())
    assert await replicas(house, visit) == []
    answer = await house.call(
        "ListParticipantReplicas", sourceStageArn=visit.stage_arn + "x", participantId=visit.participant_id
    )
    assert answer == {"replicas": []}


async def test_what_must_hold_is_asked_of_the_manager(house: ManagerHarness) -> None:
    onlooker, destination = await house.join(await house.create_stage()), await house.create_stage()
    with pytest.raises(ConflictError):
        await house.call("StartParticipantReplication", **replication(onlooker, destination))
    with pytest.raises(InvalidInputError, match="destinationStageArn"):
        await house.call("StartParticipantReplication", **replication(onlooker, onlooker.stage_arn))
    with pytest.raises(ResourceNotFoundError):
        await house.call("StopParticipantReplication", **replication(onlooker, destination))


@pytest.mark.parametrize(("window", "state"), [({}, "STOPPED"), ({"reconnectWindowSeconds": 300}, "ACTIVE")])
async def test_the_reconnect_window_is_none_unless_given(house: ManagerHarness, window: Json, state: str) -> None:
    visit, destination = await house.join(await house.create_stage()), await house.create_stage()
    claims = house.manager.admit(visit.token)
    opened = await house.manager.publish(claims, offer="v=0", client=ClientInfo())
    house.engine.connected(opened.connection_id)
    await house.call("StartParticipantReplication", **replication(visit, destination), **window)

    await house.manager.close(claims, connection_id=opened.connection_id)

    assert [replica["replicationState"] for replica in await replicas(house, visit)] == [state]
    house.clock.time_ms += 300_000
    house.manager.tick()
    await visit.settle()
    assert [replica["replicationState"] for replica in await replicas(house, visit)] == ["STOPPED"]
