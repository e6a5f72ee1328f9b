"""Every rule of an output is checked."""

import json
from typing import Any

import pytest

from stagebook.conformance.model.output_rules import header_violations, output_violations
from stagebook.conformance.wire.wire_answer import WireAnswer
from tests.conformance.suite_runs import MODEL

STAGE = {"arn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"}
EVENT = {"name": "JOINED", "eventTime": "2023-04-26T20:30:34Z", "participantId": "abCDEf12GHIj"}


def violations(operation: str, body: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    content = b"" if body is None else json.dumps(body).encode()
    answer = WireAnswer(operation=operation, status=200, headers={}, body=content)
    return output_violations(answer, MODEL.operations[operation])


@pytest.mark.parametrize(
    ("operation", "body", "violation"),
    [
        ("GetStage", {"stage": {}}, "stage.arn is absent"),
        ("GetStage", {"stage": {**STAGE, "more": 1}}, "stage.more is not in the model"),
        ("GetStage", {"more": 1}, "more is not in the model"),
        ("GetStage", {"stage": {**STAGE, "name": ["a"]}}, "stage.name is list and must be of type string"),
        ("GetStage", {"stage": {"arn": None}}, "stage.arn is absent"),
        ("GetStage", {"stage": {"arn": "arn:aws:ivs:us-west-2:1:STAGE/a"}}, "stage.arn does not match"),
        ("GetStage", {"stage": {**STAGE, "name": "a" * 129}}, "stage.name is out of the bounds"),
        ("GetStage", {"stage": {**STAGE, "tags": {"a": 5}}}, "stage.tags.a is int"),
        ("GetStage", {"stage": {**STAGE, "tags": {"": "a"}}}, "stage.tags key is out of the bounds"),
        ("ListStages", {}, "stages is absent"),
        ("ListStages", {"stages": STAGE}, "stages is dict and must be of type list"),
        ("ListStages", {"stages": [], "nextToken": "!"}, "nextToken does not match"),
        ("ListParticipantEvents", {"events": [{**EVENT, "name": "joined"}]}, "events[0].name is not in the enum"),
        (
            "ListParticipantEvents",
            {"events": [{**EVENT, "eventTime": "now"}]},
            "events[0].eventTime is not an ISO 8601",
        ),
        ("ListParticipantEvents", {"events": [{**EVENT, "replica": 1}]}, "events[0].replica is int"),
        ("DeleteStage", {"more": 1}, "a body of"),
    ],
)
def test_each_broken_rule_is_found(operation: str, body: Any, violation: str) -> None:  # noqa: ANN401 - any JSON value
    assert any(found.startswith(violation) for found in violations(operation, body))


def test_a_conforming_output_breaks_no_rule() -> None:
    assert violations("GetStage", {"stage": STAGE}) == []
    assert violations("GetStage", {"stage": {**STAGE, "activeSessionId": None}}) == []
    assert violations("ListParticipantEvents", {"events": [EVENT]}) == []
    assert violations("DeleteStage", None) == []


def test_header_members_are_demanded() -> None:
    operation = MODEL.operations["StopParticipantReplication"]
    answer = WireAnswer(operation=operation.name, status=200, headers={"cache-control": "no-store"}, body=b"")
    found = header_violations(answer, operation)
    assert "the header Access-Control-Allow-Origin is absent" in found
    assert not any("Cache-Control is" in text for text in found)
