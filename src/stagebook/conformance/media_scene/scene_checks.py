"""What the API says about the sessions, participants and replicas of the scene."""

from datetime import datetime
from functools import partial

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page, user_guide
from stagebook.conformance.expectations import expect, expect_equal, expect_headers, expect_output, expect_refused
from stagebook.conformance.media_scene.scene_script import ATTRIBUTES, scene_of
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.MEDIA)

EVENTS = "ListParticipantEvents"
PARTICIPANTS = "ListParticipants"
REPLICAS = "ListParticipantReplicas"
REPLICATION = user_guide("rt-participant-replication")


def _ids(document: Json) -> list[str]:
    return [participant["participantId"] for participant in document["participants"]]


@checks.add("ListStageSessions", "active", source="service model, StageSessionSummary: endTime is null while active")
def _active_session(service: ServiceUnderTest) -> None:
    sessions = scene_of(service).document("ListStageSessions")["stageSessions"]
    expect_equal(len(sessions), 1, "the number of sessions")
    expect(sessions[0].get("endTime") is None, expected="no endTime while participants are connected", got=sessions[0])


@checks.add("ListStageSessions", "order.newest-first", basis=Basis.CHOSEN)
def _newest_session_first(service: ServiceUnderTest) -> None:
    sessions = scene_of(service).document("ListStageSessions all")["stageSessions"]
    starts = [datetime.fromisoformat(session["startTime"]) for session in sessions]
    expect(len(starts) >= 2, expected="two sessions", got=len(starts))
    expect(starts == sorted(starts, reverse=True), expected="the newest session first", got=[str(at) for at in starts])


@checks.add("GetStage", "activeSessionId", source="service model, Stage, activeSessionId")
def _active_id(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    expect_equal(scene.document("GetStage")["stage"].get("activeSessionId"), scene.session_id, "activeSessionId")


@checks.add("GetStage", "activeSessionId.ended", source="service model, Stage, activeSessionId", basis=Basis.OBSERVED)
def _no_active_id(service: ServiceUnderTest) -> None:
    stage = scene_of(service).document("GetStage ended")["stage"]
    expect_equal(stage.get("activeSessionId", ""), "", "activeSessionId after the session")


@checks.add("GetStageSession", "endTime", source="AWS CLI reference, get-stage-session, example", basis=Basis.OBSERVED)
def _end_time(service: ServiceUnderTest) -> None:
    session = scene_of(service).document("GetStageSession ended")["stageSession"]
    start, end = (datetime.fromisoformat(str(session.get(member))) for member in ("startTime", "endTime"))
    expect(start < end, expected="an endTime after the startTime", got=f"{start} and {end}")


@checks.add(PARTICIPANTS, "all", source="service model, ParticipantSummary")
def _both(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    expect_equal(sorted(_ids(scene.document(PARTICIPANTS))), sorted([scene.publisher_id, scene.viewer_id]), "the ids")


@checks.add(PARTICIPANTS, "filterByUserId")
def _by_user(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    expect_equal(_ids(scene.document(f"{PARTICIPANTS} filterByUserId publisher")), [scene.publisher_id], "the ids")


@checks.add(PARTICIPANTS, "filterByPublished")
def _by_published(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    expect_equal(_ids(scene.document(f"{PARTICIPANTS} filterByPublished True")), [scene.publisher_id], "the ids")


@checks.add(PARTICIPANTS, "filterByState.connected")
def _connected(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    found = sorted(_ids(scene.document(f"{PARTICIPANTS} filterByState CONNECTED")))
    expect_equal(found, sorted([scene.publisher_id, scene.viewer_id]), "the ids")


@checks.add(PARTICIPANTS, "filterByState.disconnected")
def _disconnected(service: ServiceUnderTest) -> None:
    expect_equal(_ids(scene_of(service).document(f"{PARTICIPANTS} filterByState DISCONNECTED")), [], "the ids")


@checks.add(PARTICIPANTS, "filterByState.ended")
def _all_disconnected(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    expect_equal(
        sorted(_ids(scene.document(f"{PARTICIPANTS} ended"))), sorted([scene.publisher_id, scene.viewer_id]), "the ids"
    )


@checks.add(PARTICIPANTS, "maxResults.1")
def _one(service: ServiceUnderTest) -> None:
    document = scene_of(service).document(f"{PARTICIPANTS} first")
    expect_equal(len(document["participants"]), 1, "the size of a page with maxResults 1")
    expect(bool(document.get("nextToken")), expected="a nextToken", got="none")


def _participant(service: ServiceUnderTest, name: str = "GetParticipant") -> Json:
    return scene_of(service).document(name)["participant"]


@checks.add("GetParticipant", "state", source="service model, Participant, state")
def _states(service: ServiceUnderTest) -> None:
    expect_equal(_participant(service).get("state"), "CONNECTED", "state")
    expect_equal(_participant(service, "GetParticipant ended").get("state"), "DISCONNECTED", "state afterwards")


@checks.add("GetParticipant", "published", source="service model, Participant, published: ever published")
def _published(service: ServiceUnderTest) -> None:
    found = [_participant(service, f"GetParticipant{suffix}").get("published") for suffix in ("", " viewer", " ended")]
    expect_equal(found, [True, False, True], "published of the publisher, the viewer, the publisher afterwards")


@checks.add("GetParticipant", "protocol", source="service model, ParticipantProtocol")
def _protocol(service: ServiceUnderTest) -> None:
    expect_equal(_participant(service).get("protocol"), "WHIP", "protocol")


@checks.add("GetParticipant", "token", source=user_guide("getting-started-distribute-tokens"))
def _of_the_token(service: ServiceUnderTest) -> None:
    participant = _participant(service)
    expect_equal(participant.get("userId"), "publisher", "userId")
    expect_equal(participant.get("attributes"), ATTRIBUTES, "attributes")


@checks.add("GetParticipant", "firstJoinTime", source="service model, Participant, firstJoinTime", basis=Basis.OBSERVED)
def _first_join(service: ServiceUnderTest) -> None:
    joined = [event["eventTime"] for event in scene_of(service).document(EVENTS)["events"] if event["name"] == "JOINED"]
    expect_equal([_participant(service).get("firstJoinTime")], joined, "firstJoinTime, as the time of JOINED")


@checks.add("StartParticipantReplication", "headers", source="service model, header members")
def _headers_of_start(service: ServiceUnderTest) -> None:
    expect_headers(service, scene_of(service).answers["StartParticipantReplication"])


@checks.add("StartParticipantReplication", "again", basis=Basis.CHOSEN)
def _start_again(service: ServiceUnderTest) -> None:
    expect_refused(scene_of(service).answers["StartParticipantReplication again"], "ConflictException")


@checks.add("StopParticipantReplication", "headers", source="service model, header members")
def _headers_of_stop(service: ServiceUnderTest) -> None:
    expect_headers(service, scene_of(service).answers["StopParticipantReplication"])


@checks.add("StopParticipantReplication", "again", basis=Basis.CHOSEN)
def _stop_again(service: ServiceUnderTest) -> None:
    answer = scene_of(service).answers["StopParticipantReplication again"]
    expect_refused(answer, "ResourceNotFoundException", "ValidationException")


@checks.add(REPLICAS, "active", source="service model, ParticipantReplica")
def _replicas(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    expected = {
        "sourceStageArn": scene.stage_arn,
        "participantId": scene.publisher_id,
        "sourceSessionId": scene.session_id,
        "destinationStageArn": scene.destination_arn,
        "destinationSessionId": scene.destination_session_id,
        "replicationState": "ACTIVE",
    }
    expect_equal(scene.document(REPLICAS)["replicas"], [expected], "the replicas")


@checks.add(REPLICAS, "stopped", source="service model, ReplicationState", basis=Basis.CHOSEN)
def _stopped_replicas(service: ServiceUnderTest) -> None:
    states = [replica["replicationState"] for replica in scene_of(service).document(f"{REPLICAS} stopped")["replicas"]]
    expect(set(states) <= {"STOPPED"}, expected="no ACTIVE replica", got=states)


@checks.add(PARTICIPANTS, "replica", source=REPLICATION)
def _replica(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    (participant,) = scene.document(f"{PARTICIPANTS} destination")["participants"]
    found = {name: participant.get(name) for name in ("participantId", "replicationType", "sourceStageArn")}
    expected = {
        "participantId": scene.publisher_id,
        "replicationType": "REPLICA",
        "sourceStageArn": scene.stage_arn,
    }
    expect_equal(found, expected, "the replica")


@checks.add("DeleteStage", "active", source=f"{api_page('DeleteStage')}: disconnects all participants")
def _delete_active(service: ServiceUnderTest) -> None:
    expect_output(service, scene_of(service).answers["DeleteStage active"])
    expect_refused(scene_of(service).answers["GetStage deleted"], "ResourceNotFoundException")


@checks.add("DisconnectParticipant", "token-refused", source=user_guide("broadcast-web-error-handling"))
def _return_refused(service: ServiceUnderTest) -> None:
    expect(scene_of(service).is_return_refused, expected="the token to be refused afterwards", got="a new connection")


def _outputs() -> None:
    """Add a check of the form of each kind of answer in the scene."""
    names = (
        ("GetStageSession", "GetStageSession"),
        ("GetStageSession", "GetStageSession ended"),
        ("GetParticipant", "GetParticipant"),
        ("GetParticipant", "GetParticipant viewer"),
        (PARTICIPANTS, PARTICIPANTS),
        (PARTICIPANTS, f"{PARTICIPANTS} destination"),
        ("ListStageSessions", "ListStageSessions"),
        (EVENTS, EVENTS),
        (EVENTS, f"{EVENTS} viewer"),
        (EVENTS, f"{EVENTS} replica"),
        (REPLICAS, REPLICAS),
        ("DisconnectParticipant", "DisconnectParticipant"),
        ("StartParticipantReplication", "StartParticipantReplication"),
        ("StopParticipantReplication", "StopParticipantReplication"),
    )
    for operation, name in names:
        suffix = name.removeprefix(operation).strip()
        rule = f"output.live{'-' + suffix if suffix else ''}"
        checks.add(operation, rule, source=f"service model, {operation}Response")(partial(_output, name=name))


def _output(service: ServiceUnderTest, *, name: str) -> None:
    expect_output(service, scene_of(service).answers[name])


_outputs()
