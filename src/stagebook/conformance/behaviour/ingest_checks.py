"""Ingest configurations: stream keys, RTMP without TLS, the stage they are attached to, and redundant ingest."""

import re

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page, user_guide
from stagebook.conformance.expectations import expect, expect_equal, expect_headers, expect_output, expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.CREATES)

RTMP = user_guide("rt-rtmp-publishing")
CREATE = "CreateIngestConfiguration"
UPDATE = "UpdateIngestConfiguration"
LIST = "ListIngestConfigurations"


def _make(service: ServiceUnderTest, **members: Json) -> Json:
    return service.make(CREATE, **{"ingestProtocol": "RTMPS", **members})


def _shared(service: ServiceUnderTest) -> Json:
    return service.shared(CREATE, ingestProtocol="RTMPS")


@checks.add(CREATE, "headers", source="service model, CreateIngestConfigurationResponse: header members")
def _headers_of_create(service: ServiceUnderTest) -> None:
    answer = service.call(CREATE, name=service.name(), ingestProtocol="RTMPS")
    expect_headers(service, answer)
    service.delete(answer.json()["ingestConfiguration"]["arn"])


@checks.add(CREATE, "streamKey.form", source="service model, StreamKey: pattern")
def _stream_key(service: ServiceUnderTest) -> None:
    made = _shared(service)
    start = f"rt_{service.account_id}_{service.region}_{made['arn'].rpartition('/')[2]}_"
    # The key itself is a secret, so it is not shown.
    is_right = str(made.get("streamKey")).startswith(start)
    expect(is_right, expected=f"a stream key that starts with {start}", got="another one")


@checks.add(CREATE, "streamKey.unique", source=RTMP)
def _unique_stream_keys(service: ServiceUnderTest) -> None:
    first, second = _make(service), _make(service)
    expect(first["streamKey"] != second["streamKey"], expected="two stream keys", got="the same one twice")
    service.delete(first["arn"])
    service.delete(second["arn"])


@checks.add(CREATE, "participantId.assigned", source="service model, IngestConfiguration, participantId")
def _participant_id(service: ServiceUnderTest) -> None:
    value = str(_shared(service).get("participantId"))
    expect(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", value) is not None, expected="a participantId", got=value)


@checks.add(CREATE, "state.inactive", source="service model, IngestConfigurationState")
def _state(service: ServiceUnderTest) -> None:
    expect_equal(_shared(service).get("state"), "INACTIVE", "state")


@checks.add(CREATE, "stageArn.default", source="AWS CLI reference, create-ingest-configuration, example")
def _no_stage(service: ServiceUnderTest) -> None:
    expect_equal(_shared(service).get("stageArn", ""), "", "stageArn")


@checks.add(CREATE, "stageArn.attached")
def _attached(service: ServiceUnderTest) -> None:
    arn = service.shared("CreateStage")["arn"]
    made = _make(service, stageArn=arn)
    expect_equal(made.get("stageArn"), arn, "stageArn")
    service.delete(made["arn"])


@checks.add(CREATE, "stageArn.unknown", basis=Basis.CHOSEN)
def _unknown_stage(service: ServiceUnderTest) -> None:
    answer = service.call(CREATE, name=service.name(), ingestProtocol="RTMPS", stageArn=service.arn("stage"))
    expect_refused(answer, "ValidationException", "ResourceNotFoundException", "AccessDeniedException")


@checks.add(CREATE, "members.returned")
def _members(service: ServiceUnderTest) -> None:
    wanted = {"userId": "encoder", "attributes": {"role": "host"}, "tags": {"team": "blue"}}
    made = _make(service, **wanted)
    expect_equal({member: made.get(member) for member in wanted}, wanted, "the members")
    expect_equal(made.get("ingestProtocol"), "RTMPS", "ingestProtocol")
    service.delete(made["arn"])


@checks.add(CREATE, "attributes.above-1-kb", source="service model, ParticipantAttributes: 1 KB in total")
def _too_many_attributes(service: ServiceUnderTest) -> None:
    members = {"name": service.name(), "ingestProtocol": "RTMPS", "attributes": {"a": "v" * 1_200}}
    expect_refused(service.call(CREATE, **members), "ValidationException")


@checks.add(CREATE, "insecureIngest.required-for-rtmp", source="service model, InsecureIngest")
def _rtmp_needs_insecure_ingest(service: ServiceUnderTest) -> None:
    answer = service.call(CREATE, name=service.name(), ingestProtocol="RTMP", insecureIngest=False)
    expect_refused(answer, "ValidationException")


@checks.add(CREATE, "insecureIngest.default-for-rtmp", source="service model, InsecureIngest: default false")
def _rtmp_without_insecure_ingest(service: ServiceUnderTest) -> None:
    answer = service.call(CREATE, name=service.name(), ingestProtocol="RTMP")
    expect_refused(answer, "ValidationException")


@checks.add(CREATE, "insecureIngest.rtmp", source="service model, InsecureIngest")
def _rtmp(service: ServiceUnderTest) -> None:
    made = _make(service, ingestProtocol="RTMP", insecureIngest=True)
    expect_equal(made.get("ingestProtocol"), "RTMP", "ingestProtocol")
    service.delete(made["arn"])


@checks.add(
    CREATE,
    "ingestProtocol.lower-case",
    source="AWS CLI reference, create-ingest-configuration, example",
    basis=Basis.OBSERVED,
)
def _lower_case_protocol(service: ServiceUnderTest) -> None:
    made = _make(service, ingestProtocol="rtmps")
    expect_equal(made.get("ingestProtocol"), "RTMPS", "ingestProtocol")
    service.delete(made["arn"])


@checks.add(CREATE, "redundantIngest.credentials", source="service model, RedundantIngestCredentials")
def _redundant(service: ServiceUnderTest) -> None:
    made = _make(service, redundantIngest=True)
    credentials = made.get("redundantIngestCredentials", [])
    expect_equal(len(credentials), 2, "the number of redundantIngestCredentials")
    participants = {made["participantId"], *(each["participantId"] for each in credentials)}
    expect_equal(len(participants), 3, "the number of different participant ids")
    expect(made.get("redundantIngest") is True, expected="redundantIngest true", got=made.get("redundantIngest"))
    service.delete(made["arn"])


@checks.add(CREATE, "redundantIngest.default", source="service model, RedundantIngest: default false")
def _not_redundant(service: ServiceUnderTest) -> None:
    made = _shared(service)
    expect(not made.get("redundantIngest"), expected="redundantIngest false", got=made.get("redundantIngest"))
    expect_equal(made.get("redundantIngestCredentials", []), [], "redundantIngestCredentials")


@checks.add(UPDATE, "output", source="service model, UpdateIngestConfigurationResponse")
def _output_of_update(service: ServiceUnderTest) -> None:
    made = _make(service)
    expect_output(service, service.call(UPDATE, arn=made["arn"], stageArn=service.shared("CreateStage")["arn"]))
    service.delete(made["arn"])


@checks.add(UPDATE, "stageArn.attached")
def _attach(service: ServiceUnderTest) -> None:
    made, arn = _make(service), service.shared("CreateStage")["arn"]
    answer = service.call(UPDATE, arn=made["arn"], stageArn=arn)
    expect_headers(service, answer)
    expect_equal(answer.json()["ingestConfiguration"].get("stageArn"), arn, "stageArn")
    service.delete(made["arn"])


@checks.add(UPDATE, "stageArn.detached", source="service model, IngestConfigurationStageArn, length at least 0")
def _detach(service: ServiceUnderTest) -> None:
    made = _make(service, stageArn=service.shared("CreateStage")["arn"])
    service.result(UPDATE, arn=made["arn"], stageArn="")
    got = service.result("GetIngestConfiguration", arn=made["arn"])["ingestConfiguration"]
    expect_equal(got.get("stageArn", ""), "", "stageArn")
    service.delete(made["arn"])


@checks.add(UPDATE, "stageArn.unknown", source=f"{api_page(UPDATE)}, section Errors")
def _attach_to_an_unknown_stage(service: ServiceUnderTest) -> None:
    answer = service.call(UPDATE, arn=_shared(service)["arn"], stageArn=service.arn("stage"))
    expect_refused(answer, "ResourceNotFoundException")


@checks.add(UPDATE, "streamKey.kept", source=RTMP)
def _key_stays(service: ServiceUnderTest) -> None:
    made = _make(service)
    updated = service.result(UPDATE, arn=made["arn"], stageArn=service.shared("CreateStage")["arn"])
    got = updated["ingestConfiguration"]
    is_same = (got.get("streamKey"), got.get("participantId")) == (made["streamKey"], made["participantId"])
    expect(is_same, expected="the same stream key and participantId", got="other ones")
    service.delete(made["arn"])


@checks.add(UPDATE, "redundantIngest.switched-on", source=RTMP)
def _switch_redundant_ingest_on(service: ServiceUnderTest) -> None:
    made = _make(service)
    got = service.result(UPDATE, arn=made["arn"], redundantIngest=True)["ingestConfiguration"]
    expect_equal(len(got.get("redundantIngestCredentials", [])), 2, "the number of redundantIngestCredentials")
    service.delete(made["arn"])


@checks.add(UPDATE, "redundantIngest.switched-off", source=RTMP, basis=Basis.CHOSEN)
def _switch_redundant_ingest_off(service: ServiceUnderTest) -> None:
    made = _make(service, redundantIngest=True)
    got = service.result(UPDATE, arn=made["arn"], redundantIngest=False)["ingestConfiguration"]
    expect_equal(got.get("redundantIngestCredentials", []), [], "redundantIngestCredentials")
    service.delete(made["arn"])


@checks.add(LIST, "summary", source="service model, IngestConfigurationSummary")
def _no_secrets_in_the_list(service: ServiceUnderTest) -> None:
    arn = _shared(service)["arn"]
    items = service.result(LIST, maxResults=100)["ingestConfigurations"]
    secrets = [item["arn"] for item in items if item.keys() & {"streamKey", "redundantIngestCredentials"}]
    expect(not secrets, expected=f"no stream keys in the list with {arn}", got=f"stream keys of {secrets}")


@checks.add(LIST, "filterByStageArn")
def _filter_by_stage(service: ServiceUnderTest) -> None:
    stage = service.make("CreateStage")
    made = _make(service, stageArn=stage["arn"])
    _shared(service)
    items = service.result(LIST, filterByStageArn=stage["arn"])["ingestConfigurations"]
    expect_equal([item["arn"] for item in items], [made["arn"]], "the configurations of the stage")
    service.delete(made["arn"])
    service.delete(stage["arn"])


@checks.add(LIST, "filterByState.active")
def _filter_active(service: ServiceUnderTest) -> None:
    arn = _shared(service)["arn"]
    items = service.result(LIST, filterByState="ACTIVE")["ingestConfigurations"]
    expect(arn not in {item["arn"] for item in items}, expected="no INACTIVE configuration", got=arn)


@checks.add(LIST, "filterByState.inactive")
def _filter_inactive(service: ServiceUnderTest) -> None:
    _shared(service)
    items = service.result(LIST, filterByState="INACTIVE")["ingestConfigurations"]
    expect(bool(items), expected="an INACTIVE configuration", got="none")
    expect_equal({item["state"] for item in items}, {"INACTIVE"}, "the states")


@checks.add(
    LIST,
    "filters.exclusive",
    source=f"{api_page(LIST)}: only one of filterByStageArn and filterByState",
    cost=Cost.HARMLESS,
)
def _one_filter(service: ServiceUnderTest) -> None:
    answer = service.call(LIST, filterByState="ACTIVE", filterByStageArn=service.samples.arn("stage"))
    expect_refused(answer, "ValidationException")


@checks.add("DeleteIngestConfiguration", "force.inactive", source="service model, DeleteIngestConfigurationRequest")
def _force(service: ServiceUnderTest) -> None:
    made = _make(service)
    service.result("DeleteIngestConfiguration", arn=made["arn"], force=True)
    expect_refused(service.call("GetIngestConfiguration", arn=made["arn"]), "ResourceNotFoundException")


@checks.add("DeleteStage", "detaches-ingest", source=api_page("DeleteStage"), basis=Basis.CHOSEN)
def _deleting_a_stage_detaches(service: ServiceUnderTest) -> None:
    stage = service.make("CreateStage")
    made = _make(service, stageArn=stage["arn"])
    service.delete(stage["arn"])
    got = service.result("GetIngestConfiguration", arn=made["arn"])["ingestConfiguration"]
    service.delete(made["arn"])
    expect_equal(got.get("stageArn", ""), "", "stageArn after the stage is deleted")
