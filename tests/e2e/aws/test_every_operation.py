"""All 40 operations, called with boto3 on a running server; each raw response is checked against the service model."""

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.aws.all_operations import STEPS, OperationSequence
from tests.e2e.aws.output_shapes import RawResponse, output_violations
from tests.e2e.aws.valid_inputs import MODEL, Json
from tests.e2e.server import run_server

ERROR_HEADERS = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
}


@pytest.fixture(scope="module")
def responses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, list[RawResponse]]]:
    """The responses of the sequence of all operations, by operation."""
    with run_server(tmp_path_factory.mktemp("all-operations") / "data") as server:
        sequence = OperationSequence(server)
        sequence.run()
        by_operation: dict[str, list[RawResponse]] = {}
        for response in sequence.responses:
            by_operation.setdefault(response.operation, []).append(response)
        yield by_operation
        assert "level=error" not in server.log


def test_the_sequence_covers_every_operation_of_the_model() -> None:
    assert {step.operation for step in STEPS} == set(MODEL["operations"])
    assert len(MODEL["operations"]) == 40


@pytest.mark.parametrize("operation", sorted(MODEL["operations"]))
def test_the_response_conforms_to_the_output_shape(responses: Mapping[str, list[RawResponse]], operation: str) -> None:
    refusals = [step.refusal for step in STEPS if step.operation == operation]
    assert len(responses[operation]) == len(refusals)
    for response, refusal in zip(responses[operation], refusals, strict=True):
        if refusal:
            assert_modelled_error(response, refusal)
        else:
            assert response.status == 200
            assert output_violations(response) == []


def assert_modelled_error(response: RawResponse, code: str) -> None:
    assert code in {error["shape"] for error in MODEL["operations"][response.operation]["errors"]}
    assert response.status == MODEL["shapes"][code]["error"]["httpStatusCode"]
    assert response.headers["x-amzn-errortype"] == code
    assert response.headers.keys() >= ERROR_HEADERS
    assert json.loads(response.body).keys() == {"message", "exceptionMessage"}


def decoded(responses: Mapping[str, list[RawResponse]], operation: str) -> Json:
    return json.loads(responses[operation][-1].body)


def test_every_list_has_items(responses: Mapping[str, list[RawResponse]]) -> None:
    lists = [operation for operation in MODEL["operations"] if operation.startswith("List")]
    assert [operation for operation in lists if not next(iter(decoded(responses, operation).values()))] == []


def test_the_responses_include_rarely_set_members(responses: Mapping[str, list[RawResponse]]) -> None:
    names = [event["name"] for event in decoded(responses, "ListParticipantEvents")["events"]]
    assert names == ["REPLICATION_STOPPED", "REPLICATION_STARTED", "PUBLISH_STARTED", "JOINED"]
    assert decoded(responses, "ListParticipants")["participants"][-1]["replicationType"] in {"SOURCE", "NONE"}
    assert len(decoded(responses, "GetIngestConfiguration")["ingestConfiguration"]["redundantIngestCredentials"]) == 2
    assert decoded(responses, "ListTagsForResource") == {"tags": {"cost": "1"}}
    assert decoded(responses, "ListStages")["nextToken"]


def response_with(operation: str, body: Json, **headers: str) -> RawResponse:
    content = b"" if body is None else json.dumps(body).encode()
    return RawResponse(
        operation=operation, status=200, headers={"content-type": "application/json", **headers}, body=content
    )


STAGE = {"arn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"}
EVENT = {"name": "JOINED", "eventTime": "2023-04-26T20:30:34.250Z", "participantId": "abCDEf12GHIj"}


@pytest.mark.parametrize(
    ("operation", "body", "violation"),
    [
        ("GetStage", {"stage": {}}, "output.stage.arn is absent"),
        ("GetStage", {"stage": {**STAGE, "more": 1}}, "output.stage.more is unknown"),
        ("GetStage", {"stage": {**STAGE, "name": None}}, "output.stage.name is not of type string"),
        ("GetStage", {"stage": {"arn": "arn:aws:ivs:us-west-2:1:STAGE/a"}}, "output.stage.arn does not match"),
        ("GetStage", {"stage": {**STAGE, "name": "a" * 129}}, "output.stage.name is out of bounds"),
        ("ListStages", {}, "output.stages is absent"),
        ("ListStages", {"stages": STAGE}, "output.stages is not of type list"),
        (
            "ListParticipantEvents",
            {"events": [{**EVENT, "name": "joined"}]},
            "output.events[0].name is not in the enumeration",
        ),
        ("ListParticipantEvents", {"events": [{**EVENT, "eventTime": 5}]}, "output.events[0].eventTime is not of type"),
        (
            "ListParticipantEvents",
            {"events": [{**EVENT, "replica": 1}]},
            "output.events[0].replica is not of type boolean",
        ),
        ("DeleteStage", {}, "the body is not empty"),
        ("StopParticipantReplication", None, "header Access-Control-Allow-Origin is absent"),
    ],
)
def test_output_violations_reports_each_violation(operation: str, body: Json, violation: str) -> None:
    assert any(found.startswith(violation) for found in output_violations(response_with(operation, body)))


def test_output_violations_is_empty_for_conforming_responses() -> None:
    assert output_violations(response_with("GetStage", {"stage": STAGE})) == []
    assert output_violations(response_with("ListParticipantEvents", {"events": [EVENT]})) == []
    assert output_violations(response_with("DeleteStage", None)) == []
