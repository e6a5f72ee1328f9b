"""Every input rule of every operation is refused by name: each bound, pattern, enumeration, type and requirement."""

import json
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.e2e.aws.broken_rules import MODEL, REFUSED, RIGHT, Broken, Json, broken_by
from tests.e2e.aws.documented import NAMES, STAGE_ARN
from tests.e2e.aws.raw import assert_refused, send
from tests.e2e.aws.refusal import refused
from tests.e2e.server import Client, RunningServer

TAG_OPERATIONS = {"TagResource": "POST", "UntagResource": "DELETE", "ListTagsForResource": "GET"}
IN_THE_BODY = [operation for operation in RIGHT if operation not in TAG_OPERATIONS]
BY_BOTO3 = {"minimum", "maximum", "pattern", "pattern-end", "enum", "enum-empty", "absent"}
LIST_EVENTS = "/ListParticipantEvents"


def ask(server: RunningServer, operation: str, request: Json) -> httpx.Response:
    """Send an input as it is, whatever it is."""
    method = TAG_OPERATIONS.get(operation)
    if method is None:
        return send(server, f"/{operation}", json.dumps(request).encode())
    path = f"/tags/{quote(request['resourceArn'], safe='')}"
    body = {"tags": request["tags"]} if "tags" in request else {}
    if "tagKeys" in request:
        path += "?" + urlencode({"tagKeys": request["tagKeys"]}, doseq=True, quote_via=quote)
    return send(server, path, json.dumps(body).encode() if operation == "TagResource" else b"", method=method)


def can_be_sent(broken: Broken) -> bool:
    """Tell whether HTTP can carry it: a path or a query has texts alone, and no path lacks its ARN."""
    place = broken.path[0]
    if place == "resourceArn":
        return broken.rule in {"maximum", "pattern-end"}
    return place != "tagKeys" or broken.rule in {"absent", "maximum", "minimum"}


@pytest.mark.parametrize("operation", list(RIGHT))
def test_an_input_with_every_member_breaks_no_rule_of_the_model(server: RunningServer, operation: str) -> None:
    if operation.startswith("Delete"):  # the others need what it would delete
        return
    answer = ask(server, operation, RIGHT[operation])
    status, reason = REFUSED.get(operation, (200, ""))
    assert answer.status_code == status, answer.text
    assert reason in answer.text


@pytest.mark.parametrize("operation", list(RIGHT))
def test_every_broken_rule_is_refused_by_its_member(server: RunningServer, operation: str) -> None:
    cases = [case for case in broken_by(operation) if can_be_sent(case)]
    assert cases
    for case in cases:
        answer = ask(server, case.operation, case.request)
        try:
            assert_refused(answer, status=400, code="ValidationException", naming=case.member)
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


@pytest.mark.parametrize("operation", IN_THE_BODY)
def test_boto3_shows_the_refusals_of_the_server(ivs: Client, operation: str) -> None:
    method = ivs.meta.method_to_api_mapping
    call = getattr(ivs, next(name for name, api in method.items() if api == operation))
    for case in broken_by(operation):
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
    answer = ask(server, "ListTagsForResource", {"resourceArn": arn})
    assert_refused(answer, status=400, code="ValidationException", naming="resourceArn")


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
def test_a_body_that_is_no_json_object_is_refused(server: RunningServer, body: bytes) -> None:
    assert_refused(send(server, LIST_EVENTS, body), status=400, code="SerializationException")


def test_an_empty_body_is_an_empty_object(server: RunningServer) -> None:
    assert send(server, "/ListStages", b"").json()["stages"]
    assert_refused(send(server, LIST_EVENTS, b""), status=400, code="ValidationException", naming="stageArn")


def test_a_huge_body_is_refused(server: RunningServer) -> None:
    body = json.dumps({**NAMES, "padding": "x" * 2_000_000}).encode()
    assert send(server, LIST_EVENTS, body).status_code == 413


def test_unknown_members_are_ignored(server: RunningServer) -> None:
    answer = ask(server, "ListParticipantEvents", {**NAMES, "unknown": {"a": [1, None]}, "": 5})
    assert len(answer.json()["events"]) == 4


def test_null_is_as_good_as_absent(server: RunningServer) -> None:
    answer = ask(server, "ListParticipantEvents", {**NAMES, "nextToken": None, "maxResults": None})
    assert len(answer.json()["events"]) == 4


def test_unknown_members_do_not_bind_a_page_token(server: RunningServer) -> None:
    token = ask(server, "ListParticipantEvents", {**NAMES, "maxResults": 1, "unknown": 1}).json()["nextToken"]
    answer = ask(server, "ListParticipantEvents", {**NAMES, "nextToken": token, "unknown": 2})
    assert len(answer.json()["events"]) == 3


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00x"'])
def test_half_a_surrogate_pair_is_no_500(server: RunningServer, text: str) -> None:
    for member in ("userId", "reason"):
        operation = "CreateParticipantToken" if member == "userId" else "DisconnectParticipant"
        request = f'{{"stageArn":"{STAGE_ARN}","participantId":"neverThere","{member}":{text}}}'
        answer = send(server, f"/{operation}", request.encode())
        assert answer.status_code == 400, answer.text


def test_a_null_character_goes_the_whole_way(ivs: Client) -> None:
    token = ivs.create_participant_token(stageArn=STAGE_ARN, userId="a\0b")["participantToken"]
    assert token["userId"] == "a\0b"


def test_every_operation_of_the_model_is_among_these() -> None:
    assert set(RIGHT) == set(MODEL["operations"])
