"""Stages: what CreateStage returns, what UpdateStage changes, and what is left of a deleted stage."""

from collections.abc import Mapping
from typing import Any

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, user_guide
from stagebook.conformance.expectations import expect, expect_equal, expect_output, expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest

checks = CheckGroup(cost=Cost.CREATES)

CLI_EXAMPLE = "AWS CLI reference, create-stage, example"
RECORDING_DEFAULTS: Mapping[str, Any] = {
    "mediaTypes": ["AUDIO_VIDEO"],
    "recordingReconnectWindowSeconds": 0,
    "recordParticipantReplicas": True,
    "storageConfigurationArn": "",
}
DEFAULT_PAGE = 50


@checks.add("CreateStage", "name.default")
def _without_a_name(service: ServiceUnderTest) -> None:
    made = service.result("CreateStage")["stage"]
    expect_equal(made.get("name", ""), "", "the name")
    service.delete(made["arn"])


@checks.add("CreateStage", "name.not-unique", source="service model, StageName: the name need not be unique")
def _same_name_twice(service: ServiceUnderTest) -> None:
    name = service.name()
    first, second = (service.make("CreateStage", name=name)["arn"] for _ in range(2))
    expect(first != second, expected="two stages", got=f"{first} twice")
    service.delete(first)
    service.delete(second)


@checks.add("CreateStage", "endpoints", source="service model, StageEndpoints")
def _endpoints(service: ServiceUnderTest) -> None:
    endpoints = service.shared("CreateStage").get("endpoints", {})
    for member, schemes in (("events", ("wss://", "ws://")), ("whip", ("https://", "http://"))):
        value = str(endpoints.get(member))
        expect(value.startswith(schemes), expected=f"endpoints.{member} with {schemes[0]}", got=value)


@checks.add("CreateStage", "endpoints.rtmp", source="service model, StageEndpoints", basis=Basis.OBSERVED)
def _rtmp_endpoints(service: ServiceUnderTest) -> None:
    endpoints = service.shared("CreateStage").get("endpoints", {})
    for member in ("rtmp", "rtmps"):
        value = str(endpoints.get(member))
        expect(value.startswith(f"{member}://"), expected=f"endpoints.{member} with {member}://", got=value)
        expect(value.endswith("/app/"), expected=f"endpoints.{member} with the application app", got=value)


@checks.add("CreateStage", "activeSessionId.idle", source=CLI_EXAMPLE, basis=Basis.OBSERVED)
def _no_session_yet(service: ServiceUnderTest) -> None:
    expect_equal(service.shared("CreateStage").get("activeSessionId", ""), "", "activeSessionId")


@checks.add("CreateStage", "autoParticipantRecordingConfiguration.defaults", source=CLI_EXAMPLE, basis=Basis.OBSERVED)
def _recording_defaults(service: ServiceUnderTest) -> None:
    recording = service.shared("CreateStage").get("autoParticipantRecordingConfiguration", {})
    for member, value in RECORDING_DEFAULTS.items():
        expect_equal(recording.get(member), value, f"autoParticipantRecordingConfiguration.{member}")


@checks.add(
    "CreateStage",
    "autoParticipantRecordingConfiguration.thumbnail-defaults",
    source="service model, ParticipantThumbnailConfiguration: defaults",
)
def _thumbnail_defaults(service: ServiceUnderTest) -> None:
    recording = service.shared("CreateStage").get("autoParticipantRecordingConfiguration", {})
    thumbnails = recording.get("thumbnailConfiguration", {})
    expect_equal(thumbnails.get("targetIntervalSeconds"), 60, "targetIntervalSeconds")
    expect_equal(thumbnails.get("storage"), ["SEQUENTIAL"], "storage")
    expect_equal(thumbnails.get("recordingMode"), "DISABLED", "recordingMode")


@checks.add(
    "CreateStage",
    "autoParticipantRecordingConfiguration.hls-default",
    source="service model, ParticipantRecordingTargetSegmentDurationSeconds: default 6",
)
def _segment_default(service: ServiceUnderTest) -> None:
    recording = service.shared("CreateStage").get("autoParticipantRecordingConfiguration", {})
    expect_equal(recording.get("hlsConfiguration"), {"targetSegmentDurationSeconds": 6}, "hlsConfiguration")


@checks.add("CreateStage", "autoParticipantRecordingConfiguration.returned")
def _recording_is_returned(service: ServiceUnderTest) -> None:
    wanted = {
        "storageConfigurationArn": "",
        "mediaTypes": ["AUDIO_ONLY"],
        "recordingReconnectWindowSeconds": 30,
        "recordParticipantReplicas": False,
    }
    made = service.make("CreateStage", autoParticipantRecordingConfiguration=wanted)
    got = made.get("autoParticipantRecordingConfiguration", {})
    expect_equal({member: got.get(member) for member in wanted}, wanted, "autoParticipantRecordingConfiguration")
    service.delete(made["arn"])


@checks.add("CreateStage", "autoParticipantRecordingConfiguration.unknown-storage", basis=Basis.CHOSEN)
def _unknown_storage(service: ServiceUnderTest) -> None:
    recording = {"storageConfigurationArn": service.arn("storage-configuration")}
    answer = service.call("CreateStage", name=service.name(), autoParticipantRecordingConfiguration=recording)
    expect_refused(answer, "ValidationException", "ResourceNotFoundException", "AccessDeniedException")


@checks.add("UpdateStage", "output", source="service model, UpdateStageResponse")
def _update_output(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    expect_output(service, service.call("UpdateStage", arn=made["arn"], name=service.name()))
    service.delete(made["arn"])


@checks.add("UpdateStage", "name.changed")
def _update_name(service: ServiceUnderTest) -> None:
    made, name = service.make("CreateStage"), service.name()
    service.result("UpdateStage", arn=made["arn"], name=name)
    expect_equal(service.result("GetStage", arn=made["arn"])["stage"].get("name"), name, "the name")
    service.delete(made["arn"])


@checks.add("UpdateStage", "name.empty", source="service model, StageName, length at least 0", basis=Basis.CHOSEN)
def _update_to_no_name(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    service.result("UpdateStage", arn=made["arn"], name="")
    expect_equal(service.result("GetStage", arn=made["arn"])["stage"].get("name", ""), "", "the name")
    service.delete(made["arn"])


@checks.add("UpdateStage", "other-members.kept")
def _update_keeps_the_rest(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage", tags={"team": "blue"})
    updated = service.result("UpdateStage", arn=made["arn"], name=service.name())["stage"]
    for member in ("arn", "tags", "endpoints", "autoParticipantRecordingConfiguration"):
        expect_equal(updated.get(member), made.get(member), member)
    service.delete(made["arn"])


@checks.add("UpdateStage", "without-changes", basis=Basis.CHOSEN)
def _update_nothing(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    updated = service.result("UpdateStage", arn=made["arn"])["stage"]
    expect_equal(updated.get("name"), made.get("name"), "the name")
    service.delete(made["arn"])


@checks.add("UpdateStage", "autoParticipantRecordingConfiguration.changed")
def _update_recording(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    wanted = {"storageConfigurationArn": "", "recordingReconnectWindowSeconds": 10}
    service.result("UpdateStage", arn=made["arn"], autoParticipantRecordingConfiguration=wanted)
    got = service.result("GetStage", arn=made["arn"])["stage"].get("autoParticipantRecordingConfiguration", {})
    expect_equal(got.get("recordingReconnectWindowSeconds"), 10, "recordingReconnectWindowSeconds")
    service.delete(made["arn"])


@checks.add("DeleteStage", "refuses-tokens", source="service model, CreateParticipantToken, ResourceNotFoundException")
def _no_tokens_for_a_deleted_stage(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage")
    service.delete(made["arn"])
    expect_refused(service.call("CreateParticipantToken", stageArn=made["arn"]), "ResourceNotFoundException")


@checks.add("DeleteStage", "tags-gone", source="service model, ListTagsForResource, ResourceNotFoundException")
def _no_tags_of_a_deleted_stage(service: ServiceUnderTest) -> None:
    made = service.make("CreateStage", tags={"team": "blue"})
    service.delete(made["arn"])
    expect_refused(service.call("ListTagsForResource", resourceArn=made["arn"]), "ResourceNotFoundException")


@checks.add("ListStages", "maxResults.default", source="service model, ListStagesRequest: default 50")
def _default_page(service: ServiceUnderTest) -> None:
    page = service.result("ListStages")["stages"]
    expect(len(page) <= DEFAULT_PAGE, expected="at most 50 stages", got=len(page))
    more = service.result("ListStages", maxResults=DEFAULT_PAGE + 1)["stages"]
    made = [service.make("CreateStage")["arn"] for _ in range(DEFAULT_PAGE + 1 - len(more))]
    expect_equal(len(service.result("ListStages")["stages"]), DEFAULT_PAGE, "the number of stages")
    for arn in made:
        service.delete(arn)


@checks.add("ListStages", "nextToken.last-page", source="service model, ListStagesResponse, nextToken")
def _last_page_has_no_token(service: ServiceUnderTest) -> None:
    service.shared("CreateStage")
    document = service.result("ListStages", maxResults=100)
    if len(document["stages"]) < 100:
        expect("nextToken" not in document, expected="no nextToken on the last page", got="one")


@checks.add("ListStages", "nextToken.used-twice", basis=Basis.CHOSEN)
def _token_twice(service: ServiceUnderTest) -> None:
    service.shared("CreateStage")
    second = service.make("CreateStage")
    token = service.result("ListStages", maxResults=1).get("nextToken")
    expect(bool(token), expected="a nextToken after one of two stages", got="none")
    pages = [service.result("ListStages", maxResults=1, nextToken=token)["stages"] for _ in range(2)]
    expect_equal([stage["arn"] for stage in pages[1]], [stage["arn"] for stage in pages[0]], "the second answer")
    service.delete(second["arn"])


@checks.add("ListStages", "nextToken.of-another-operation", basis=Basis.CHOSEN)
def _token_of_another_list(service: ServiceUnderTest) -> None:
    service.shared("CreateStage")
    second = service.make("CreateStage")
    token = service.result("ListStages", maxResults=1).get("nextToken")
    answer = service.call("ListPublicKeys", nextToken=token)
    service.delete(second["arn"])
    expect_refused(answer, "ValidationException")


@checks.add("ListStages", "summary", source=user_guide("getting-started-create-stage"), basis=Basis.OBSERVED)
def _summary_has_no_endpoints(service: ServiceUnderTest) -> None:
    service.shared("CreateStage")
    allowed = {"arn", "name", "activeSessionId", "tags"}
    for stage in service.result("ListStages", maxResults=100)["stages"]:
        expect(stage.keys() <= allowed, expected=f"only {sorted(allowed)}", got=sorted(stage))
