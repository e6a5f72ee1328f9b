"""Outputs, parsed back by botocore's own parser."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.api.aws.rest_json.serialization import UnknownOutputMemberError, compile_output, has_modelled_headers
from stagebook.api.aws.rest_json.service_model import load_service_model
from tests.api.aws.model_rules import MODEL as RAW
from tests.api.aws.model_rules import OPERATIONS, SHAPES, Json

MODEL = load_service_model()
BOTOCORE = ServiceModel(RAW, "ivs-realtime")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def serialise(operation: str, result: dict[str, Any]) -> bytes:
    return compile_output(MODEL.operations[operation].output)(result)


def parsed_by_botocore(operation: str, body: bytes) -> dict[str, Any]:
    response = {"body": body, "headers": {}, "status_code": 200}
    shape = BOTOCORE.operation_model(operation).output_shape
    assert shape is not None
    parsed = create_parser("rest-json").parse(response, shape)
    parsed.pop("ResponseMetadata")
    return dict(parsed)


def results(name: str) -> st.SearchStrategy[Json]:
    """Generate results that a handler may return for an output shape."""
    shape = SHAPES[name]
    match shape["type"]:
        case "structure":
            members = {k: m for k, m in shape["members"].items() if m.get("location") != "header"}
            required = {k: results(m["shape"]) for k, m in members.items() if k in shape.get("required", [])}
            optional = {k: st.none() | results(m["shape"]) for k, m in members.items() if k not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case "list":
            return st.lists(results(shape["member"]["shape"]), max_size=2)
        case "map":
            return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
        case "timestamp":
            return st.integers(0, 4_102_444_800_000)
        case "integer":
            return st.integers(-(2**31), 2**31 - 1)
        case "float":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
    return st.sampled_from(shape["enum"]) if "enum" in shape else st.text(max_size=8)


def as_botocore_parses(name: str, value: Json) -> Json:
    shape = SHAPES[name]
    match shape["type"]:
        case "structure":
            return {k: as_botocore_parses(shape["members"][k]["shape"], v) for k, v in value.items() if v is not None}
        case "list":
            return [as_botocore_parses(shape["member"]["shape"], item) for item in value]
        case "timestamp":
            return EPOCH + timedelta(milliseconds=value)
    return value


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), operation=st.sampled_from(sorted(OPERATIONS)))
def test_botocore_parses_every_output_as_the_handler_returned_it(data: st.DataObject, operation: str) -> None:
    output = OPERATIONS[operation]["output"]["shape"]
    result = data.draw(results(output))

    assert parsed_by_botocore(operation, serialise(operation, result)) == as_botocore_parses(output, result)


def test_times_are_iso_8601_and_absent_members_are_left_out() -> None:
    body = serialise(
        "ListParticipantEvents",
        {"events": [{"name": "JOINED", "eventTime": 1_682_541_388_000, "errorCode": None}], "nextToken": None},
    )

    assert body == b'{"events":[{"name":"JOINED","eventTime":"2023-04-26T20:36:28.000Z"}]}'


@pytest.mark.parametrize("result", [{}, {"events": []}, {"events": None}])
def test_required_collections_are_always_present(result: dict[str, Any]) -> None:
    assert serialise("ListParticipantEvents", result) == b'{"events":[]}'
    assert serialise("ListTagsForResource", {}) == b'{"tags":{}}'


def test_false_and_empty_values_are_sent() -> None:
    body = serialise("GetParticipant", {"participant": {"published": False, "userId": "", "attributes": {}}})

    assert json.loads(body) == {"participant": {"published": False, "userId": "", "attributes": {}}}


@pytest.mark.parametrize(
    "operation", sorted(name for name, op in MODEL.operations.items() if not SHAPES[op.output.name]["members"])
)
def test_an_output_without_members_has_an_empty_body(operation: str) -> None:
    assert serialise(operation, {}) == b""
    with pytest.raises(UnknownOutputMemberError):
        serialise(operation, {"arn": "x"})


def test_the_outputs_with_headers_are_the_four_of_the_model() -> None:
    assert {name for name, op in MODEL.operations.items() if has_modelled_headers(op.output)} == {
        "CreateIngestConfiguration",
        "UpdateIngestConfiguration",
        "StartParticipantReplication",
        "StopParticipantReplication",
    }
    assert serialise("StartParticipantReplication", {}) == b""


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("GetStage", {"stages": []}),
        ("GetStage", {"stage": {"arn": "x", "nmae": "y"}}),
        ("GetStage", {"stage": {"name": "without the required arn"}}),
        ("CreateIngestConfiguration", {"cacheControl": "no-store"}),
    ],
)
def test_an_output_that_does_not_fit_its_shape_raises(operation: str, result: dict[str, Any]) -> None:
    with pytest.raises(UnknownOutputMemberError):
        serialise(operation, result)
