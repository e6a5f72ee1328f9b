"""Validation of inputs: a violation of any rule of any operation is refused, and the error message names the member."""

import json
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import REQUEST, STAGE_ARN
from tests.e2e.aws.invalid_inputs import InvalidInput, invalid_inputs
from tests.e2e.aws.raw_requests import assert_refused, send
from tests.e2e.aws.valid_inputs import EXPECTED_REFUSALS, MODEL, VALID_INPUTS, Json
from tests.e2e.server import Client, RunningServer

TAG_OPERATIONS = {"TagResource": "POST", "UntagResource": "DELETE", "ListTagsForResource": "GET"}
IN_THE_BODY = [operation for operation in VALID_INPUTS if operation not in TAG_OPERATIONS]
BY_BOTO3 = {"minimum", "maximum", "pattern", "pattern-end", "enum", "enum-empty", "absent"}
LIST_EVENTS = "/ListParticipantEvents"


def send_input(server: RunningServer, operation: str, request: Json) -> httpx.Response:
    """Send an input without any validation and return the response."""
    method = TAG_OPERATIONS.get(operation)
    if method is None:
        return send(server, f"/{operation}", json.dumps(request).encode())
    path = f"/tags/{quote(request['resourceArn'], safe='')}"
    body = {"tags": request["tags"]} if "tags" in request else {}
    if "tagKeys" in request:
        path += "?" + urlencode({"tagKeys": request["tagKeys"]}, doseq=True, quote_via=quote)
    return send(server, path, json.dumps(body).encode() if operation == "TagResource" else b"", method=method)


def can_be_sent(invalid: InvalidInput) -> bool:
    """Tell whether an HTTP request can express the input.

    Paths and query parameters have string values only, and the path always has an ARN.
    """
    place = invalid.path[0]
    if place == "resourceArn":
        return invalid.rule in {"maximum", "pattern-end"}
    return place != "tagKeys" or invalid.rule in {"absent", "maximum", "minimum"}


@pytest.mark.parametrize("operation", list(VALID_INPUTS))
def test_an_input_with_every_member_is_valid(server: RunningServer, operation: str) -> None:
    if operation.startswith("Delete"):  # other tests need the resource
        return
    response = send_input(server, operation, VALID_INPUTS[operation])
    status, reason = EXPECTED_REFUSALS.get(operation, (200, ""))
    assert response.status_code == status, response.text
    assert reason in response.text


@pytest.mark.parametrize("operation", list(VALID_INPUTS))
def test_every_violation_is_refused_with_the_name_of_the_member(server: RunningServer, operation: str) -> None:
    cases = [case for case in invalid_inputs(operation) if can_be_sent(case)]
    assert cases
    for case in cases:
        response = send_input(server, case.operation, case.request)
        try:
            assert_refused(response, status=400, code="ValidationException", naming=case.member)
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


@pytest.mark.parametrize("operation", IN_THE_BODY)
def test_boto3_raises_the_validation_errors_of_the_server(ivs: Client, operation: str) -> None:
    method = ivs.meta.method_to_api_mapping
    call = getattr(ivs, next(name for name, api in method.items() if api == operation))
    for case in invalid_inputs(operation):
        if case.rule in BY_BOTO3:
            with refused("ValidationException", naming=case.member):
                call(**case.request)


@pytest.mark.parametrize(
    "arn",
    [
        "stage",
        "arn:aws:ivs:us-west-2:123456789012:stage",
        "arn:aws:ivs:us-west-2:123456789012:stage/",
        "arn:aws:ivs:us-west-2:123456789012:STAGE/abcdABCDefgh",
        "arn:aws-cn:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
        "arn:aws:ivs:us-west-2:123456789012:stage/abcd/ABCDefgh",
        " arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    ],
)
def test_a_tag_path_without_a_resource_arn_is_refused(server: RunningServer, arn: str) -> None:
    response = send_input(server, "ListTagsForResource", {"resourceArn": arn})
    assert_refused(response, status=400, code="ValidationException", naming="resourceArn")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"stageArn":"\xff"}',
        b"[" * 20_000,
        b'{"a":' * 20_000,
    ],
    ids=range(9),
)
def test_a_body_that_is_not_a_json_object_is_refused(server: RunningServer, body: bytes) -> None:
    assert_refused(send(server, LIST_EVENTS, body), status=400, code="SerializationException")


def test_an_empty_body_counts_as_an_empty_object(server: RunningServer) -> None:
    assert send(server, "/ListStages", b"").json()["stages"]
    assert_refused(send(server, LIST_EVENTS, b""), status=400, code="ValidationException", naming="stageArn")


def test_a_body_above_the_size_limit_is_refused(server: RunningServer) -> None:
    body = json.dumps({**REQUEST, "padding": "x" * 2_000_000}).encode()
    assert send(server, LIST_EVENTS, body).status_code == 413


def test_unknown_members_are_ignored(server: RunningServer) -> None:
    response = send_input(server, "ListParticipantEvents", {**REQUEST, "unknown": {"a": [1, None]}, "": 5})
    assert len(response.json()["events"]) == 4


def test_a_null_member_counts_as_absent(server: RunningServer) -> None:
    response = send_input(server, "ListParticipantEvents", {**REQUEST, "nextToken": None, "maxResults": None})
    assert len(response.json()["events"]) == 4


def test_unknown_members_do_not_bind_a_page_token(server: RunningServer) -> None:
    token = send_input(server, "ListParticipantEvents", {**REQUEST, "maxResults": 1, "unknown": 1}).json()["nextToken"]
    response = send_input(server, "ListParticipantEvents", {**REQUEST, "nextToken": token, "unknown": 2})
    assert len(response.json()["events"]) == 3


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00x"'])
def test_a_lone_surrogate_is_a_validation_error(server: RunningServer, text: str) -> None:
    for member in ("userId", "reason"):
        operation = "CreateParticipantToken" if member == "userId" else "DisconnectParticipant"
        request = f'{{"stageArn":"{STAGE_ARN}","participantId":"neverThere","{member}":{text}}}'
        response = send(server, f"/{operation}", request.encode())
        assert response.status_code == 400, response.text


def test_a_null_character_is_preserved(ivs: Client) -> None:
    token = ivs.create_participant_token(stageArn=STAGE_ARN, userId="a\0b")["participantToken"]
    assert token["userId"] == "a\0b"


def test_there_is_a_valid_input_for_every_operation() -> None:
    assert set(VALID_INPUTS) == set(MODEL["operations"])
