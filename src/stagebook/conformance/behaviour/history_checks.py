"""Sessions, participants and events of a stage that nobody has joined, and the filters of ListParticipants."""

from itertools import combinations

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page
from stagebook.conformance.expectations import expect_equal, expect_output, expect_refused
from stagebook.conformance.model.sample_values import NEVER_MADE_ID, NEVER_OPENED_SESSION
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.CREATES)

FILTERS: dict[str, Json] = {
    "filterByUserId": "ann",
    "filterByPublished": True,
    "filterByState": "CONNECTED",
    "filterByRecordingState": "ACTIVE",
}


def _stage_arn(service: ServiceUnderTest) -> str:
    return str(service.shared("CreateStage")["arn"])


@checks.add("ListStageSessions", "fresh-stage", basis=Basis.OBSERVED)
def _no_sessions(service: ServiceUnderTest) -> None:
    sessions = service.result("ListStageSessions", stageArn=_stage_arn(service))["stageSessions"]
    expect_equal(sessions, [], "the sessions of a stage that nobody has joined")


@checks.add("GetStageSession", "sessionId.unknown", source=f"{api_page('GetStageSession')}, section Errors")
def _unknown_session(service: ServiceUnderTest) -> None:
    answer = service.call("GetStageSession", stageArn=_stage_arn(service), sessionId=NEVER_OPENED_SESSION)
    expect_refused(answer, "ResourceNotFoundException", "ValidationException")


@checks.add("GetParticipant", "sessionId.unknown", source=f"{api_page('GetParticipant')}, section Errors")
def _unknown_participant(service: ServiceUnderTest) -> None:
    answer = service.call(
        "GetParticipant",
        stageArn=_stage_arn(service),
        sessionId=NEVER_OPENED_SESSION,
        participantId=NEVER_MADE_ID,
    )
    expect_refused(answer, "ResourceNotFoundException", "ValidationException")


@checks.add("ListParticipants", "sessionId.unknown", basis=Basis.OBSERVED)
def _participants_of_an_unknown_session(service: ServiceUnderTest) -> None:
    answer = service.call("ListParticipants", stageArn=_stage_arn(service), sessionId=NEVER_OPENED_SESSION)
    _expect_nothing(answer, "participants")


@checks.add("ListParticipantEvents", "sessionId.unknown", basis=Basis.OBSERVED)
def _events_of_an_unknown_session(service: ServiceUnderTest) -> None:
    answer = service.call(
        "ListParticipantEvents",
        stageArn=_stage_arn(service),
        sessionId=NEVER_OPENED_SESSION,
        participantId=NEVER_MADE_ID,
    )
    _expect_nothing(answer, "events")


@checks.add("ListParticipantReplicas", "participantId.unknown", basis=Basis.OBSERVED)
def _replicas_of_nobody(service: ServiceUnderTest) -> None:
    answer = service.call("ListParticipantReplicas", sourceStageArn=_stage_arn(service), participantId=NEVER_MADE_ID)
    _expect_nothing(answer, "replicas")


def _expect_nothing(answer: Json, member: str) -> None:
    if answer.is_success:
        expect_equal(answer.json().get(member), [], member)
    else:
        expect_refused(answer, "ValidationException")


def _add_filter_checks() -> None:
    for first, second in combinations(sorted(FILTERS), 2):

        def body(service: ServiceUnderTest, first: str = first, second: str = second) -> None:
            filters = {first: FILTERS[first], second: FILTERS[second]}
            answer = service.call(
                "ListParticipants", stageArn=_stage_arn(service), sessionId=NEVER_OPENED_SESSION, **filters
            )
            expect_refused(answer, "ValidationException")

        source = f"{api_page('ListParticipants')}: only one filter per request"
        checks.add("ListParticipants", f"filters.{first}-and-{second}", source=source)(body)


_add_filter_checks()


@checks.add("DisconnectParticipant", "participantId.never-joined", basis=Basis.OBSERVED)
def _disconnect_a_stranger(service: ServiceUnderTest) -> None:
    answer = service.call(
        "DisconnectParticipant", stageArn=_stage_arn(service), participantId=NEVER_MADE_ID, reason="a reason"
    )
    if not answer.is_success:
        expect_refused(answer, "ResourceNotFoundException", "ValidationException")


@checks.add("RevokeConnectionToken", "tokenId.unknown", basis=Basis.CHOSEN)
def _revoke_an_unknown_token(service: ServiceUnderTest) -> None:
    answer = service.call("RevokeConnectionToken", tokenId=NEVER_MADE_ID)
    if answer.is_success:
        expect_output(service, answer)
    else:
        expect_refused(answer, "ValidationException")


@checks.add("StartParticipantReplication", "same-stage", basis=Basis.CHOSEN)
def _replicate_to_the_same_stage(service: ServiceUnderTest) -> None:
    arn = _stage_arn(service)
    answer = service.call(
        "StartParticipantReplication", sourceStageArn=arn, destinationStageArn=arn, participantId=NEVER_MADE_ID
    )
    expect_refused(answer, "ValidationException", "ConflictException", "ResourceNotFoundException")


@checks.add("StartParticipantReplication", "participantId.unknown", basis=Basis.OBSERVED)
def _replicate_nobody(service: ServiceUnderTest) -> None:
    answer = service.call("StartParticipantReplication", **_replication(service))
    expect_refused(answer, "ResourceNotFoundException", "ValidationException", "ConflictException")


@checks.add("StartParticipantReplication", "attributes.above-1-kb", source="service model, attributes: 1 KB in total")
def _too_many_attributes_of_a_replica(service: ServiceUnderTest) -> None:
    answer = service.call("StartParticipantReplication", **_replication(service), attributes={"a": "v" * 1_200})
    expect_refused(answer, "ValidationException")


@checks.add("StartParticipantReplication", "destinationStageArn.unknown")
def _replicate_to_an_unknown_stage(service: ServiceUnderTest) -> None:
    members = {**_replication(service), "destinationStageArn": service.arn("stage")}
    expect_refused(service.call("StartParticipantReplication", **members), "ResourceNotFoundException")


@checks.add("StopParticipantReplication", "participantId.unknown", basis=Basis.CHOSEN)
def _stop_no_replication(service: ServiceUnderTest) -> None:
    answer = service.call("StopParticipantReplication", **_replication(service))
    expect_refused(answer, "ResourceNotFoundException", "ValidationException")


def _replication(service: ServiceUnderTest) -> dict[str, Json]:
    return {
        "sourceStageArn": _stage_arn(service),
        "destinationStageArn": service.shared("CreateStage", tags={"role": "destination"})["arn"],
        "participantId": NEVER_MADE_ID,
    }
