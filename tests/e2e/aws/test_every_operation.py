"""All 40 operations, called by boto3 on a running server, and each raw answer held against the service model."""

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.aws.broken_rules import MODEL, Json
from tests.e2e.aws.output_shapes import Answer, output_breaches
from tests.e2e.aws.walk import STEPS, Walk
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
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, list[Answer]]]:
    """The walk's answers by operation."""
    with run_server(tmp_path_factory.mktemp("walk") / "data") as server:
        walk = Walk(server)
        walk.run()
        found: dict[str, list[Answer]] = {}
        for answer in walk.answers:
            found.setdefault(answer.operation, []).append(answer)
        yield found
        assert "level='error'" not in server.log


def test_the_walk_goes_over_every_operation_of_the_model() -> None:
    assert {step.operation for step in STEPS} == set(MODEL["operations"])
    assert len(MODEL["operations"]) == 40


@pytest.mark.parametrize("operation", sorted(MODEL["operations"]))
def test_the_answer_keeps_its_shape(answers: Mapping[str, list[Answer]], operation: str) -> None:
    refusals = [step.refusal for step in STEPS if step.operation == operation]
    assert len(answers[operation]) == len(refusals)
    for answer, refusal in zip(answers[operation], refusals, strict=True):
        if refusal:
            assert_modelled_error(answer, refusal)
        else:
            assert answer.status == 200
            assert output_breaches(answer) == []


def assert_modelled_error(answer: Answer, code: str) -> None:
    assert code in {error["shape"] for error in MODEL["operations"][answer.operation]["errors"]}
    assert answer.status == MODEL["shapes"][code]["error"]["httpStatusCode"]
    assert answer.headers["x-amzn-errortype"] == code
    assert answer.headers.keys() >= ERROR_HEADERS
    assert json.loads(answer.body).keys() == {"message", "exceptionMessage"}


def sent(answers: Mapping[str, list[Answer]], operation: str) -> Json:
    return json.loads(answers[operation][-1].body)


def test_the_walk_saw_something_at_every_list(answers: Mapping[str, list[Answer]]) -> None:
    lists = [operation for operation in MODEL["operations"] if operation.startswith("List")]
    empty = [operation for operation in lists if not next(iter(sent(answers, operation).values()))]
    assert empty == ["ListCompositions"]


def test_the_walk_saw_the_rare_members_too(answers: Mapping[str, list[Answer]]) -> None:
    names = [event["name"] for event in sent(answers, "ListParticipantEvents")["events"]]
    assert names == ["REPLICATION_STOPPED", "REPLICATION_STARTED", "PUBLISH_STARTED", "JOINED"]
    assert sent(answers, "ListParticipants")["participants"][-1]["replicationType"] in {"SOURCE", "NONE"}
    assert len(sent(answers, "GetIngestConfiguration")["ingestConfiguration"]["redundantIngestCredentials"]) == 2
    assert sent(answers, "ListTagsForResource") == {"tags": {"cost": "1"}}
    assert sent(answers, "ListStages")["nextToken"]


def answer_of(operation: str, body: Json, **headers: str) -> Answer:
    text = b"" if body is None else json.dumps(body).encode()
    return Answer(operation=operation, status=200, headers={"content-type": "application/json", **headers}, body=text)


STAGE = {"arn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"}
EVENT = {"name": "JOINED", "eventTime": "2023-04-26T20:30:34.250Z", "participantId": "abCDEf12GHIj"}


@pytest.mark.parametrize(
    ("operation", "body", "breach"),
    [
        ("GetStage", {"stage": {}}, "output.stage.arn is absent"),
        ("GetStage", {"stage": {**STAGE, "more": 1}}, "output.stage.more is unknown"),
        ("GetStage", {"stage": {**STAGE, "name": None}}, "output.stage.name is no string"),
        ("GetStage", {"stage": {"arn": "arn:aws:ivs:us-west-2:1:STAGE/a"}}, "output.stage.arn does not match"),
        ("GetStage", {"stage": {**STAGE, "name": "a" * 129}}, "output.stage.name is out of bounds"),
        ("ListStages", {}, "output.stages is absent"),
        ("ListStages", {"stages": STAGE}, "output.stages is no list"),
        ("ListParticipantEvents", {"events": [{**EVENT, "name": "joined"}]}, "output.events[0].name is none of"),
        ("ListParticipantEvents", {"events": [{**EVENT, "eventTime": 5}]}, "output.events[0].eventTime is no"),
        ("ListParticipantEvents", {"events": [{**EVENT, "replica": 1}]}, "output.events[0].replica is no boolean"),
        ("DeleteStage", {}, "the body is not empty"),
        ("StopParticipantReplication", None, "header Access-Control-Allow-Origin is absent"),
    ],
)
def test_the_oracle_sees_what_breaks_a_shape(operation: str, body: Json, breach: str) -> None:
    assert any(found.startswith(breach) for found in output_breaches(answer_of(operation, body)))


def test_the_oracle_has_nothing_against_what_keeps_it() -> None:
    assert output_breaches(answer_of("GetStage", {"stage": STAGE})) == []
    assert output_breaches(answer_of("ListParticipantEvents", {"events": [EVENT]})) == []
    assert output_breaches(answer_of("DeleteStage", None)) == []
