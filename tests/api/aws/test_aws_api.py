"""The door as a whole: the order of its checks, its answers and its errors."""

import asyncio
from collections.abc import Mapping
from typing import Any, Never

import pytest
from structlog.testing import capture_logs

from stagebook.api.aws.operation import Call
from stagebook.api.aws.rest_json.request_body import Message
from tests.api.aws.harness import (
    GET_STAGE,
    SEVEN_HEADERS,
    STAGE_ARN,
    Received,
    ask,
    new_door,
    operations,
    receiver,
    scope_of,
    signed,
    signed_call,
    unsigned,
)


async def answer_to(document: object, *, operation: str = "GetStage") -> Received:
    return await ask(new_door(), signed_call(operation, document))


async def test_a_signed_call_is_answered() -> None:
    answer = await ask(new_door(), GET_STAGE)

    assert answer.status == 200
    assert answer.json == {"stage": {"arn": STAGE_ARN}}
    assert set(answer.headers) == {"content-type", "content-length", "x-amzn-requestid"}
    assert answer.headers["content-type"] == "application/json"


async def test_the_handler_sees_the_caller_and_the_validated_input() -> None:
    seen: list[Call] = []

    def handle(call: Call) -> Mapping[str, Any]:
        seen.append(call)
        return {"events": []}

    door = new_door(operations(ListParticipantEvents=("stageArn", handle)))
    document = {"stageArn": STAGE_ARN, "sessionId": "st-a1b2c3d4e5f6g", "participantId": "abCDEf12GHIj"}
    await ask(door, signed_call("ListParticipantEvents", {**document, "nextToken": None, "unknown": 1}))

    (call,) = seen
    assert call.request == document
    assert call.caller.account_id == "123456789012"
    assert call.caller.arn == "arn:aws:iam::123456789012:user/stagebook"


async def test_handlers_may_be_asynchronous() -> None:
    async def handle(_call: Call) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return {"participantToken": {"expirationTime": 1_682_541_388_000}}

    door = new_door(operations(CreateParticipantToken=("stageArn", handle)))
    answer = await ask(door, signed_call("CreateParticipantToken", {"stageArn": STAGE_ARN}))

    assert answer.json == {"participantToken": {"expirationTime": "2023-04-26T20:36:28.000Z"}}


async def test_finished_bodies_pass_through() -> None:
    async def handle_later(_call: Call) -> bytes:
        return b'{"events":[2]}'

    for handle, body in ((lambda _call: b'{"events":[1]}', b'{"events":[1]}'), (handle_later, b'{"events":[2]}')):
        answer = await ask(new_door(operations(ListStages=(None, handle))), signed_call("ListStages"))
        assert answer.body == body


async def test_an_output_without_members_is_an_empty_body() -> None:
    door = new_door(operations(DeleteStage=("arn", lambda _call: {})))

    answer = await ask(door, signed_call("DeleteStage", {"arn": STAGE_ARN}))

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "application/json"


async def test_outputs_with_modelled_headers_carry_all_seven() -> None:
    door = new_door(operations(StopParticipantReplication=("sourceStageArn", lambda _call: {})))
    document = {"sourceStageArn": STAGE_ARN, "destinationStageArn": STAGE_ARN, "participantId": "p"}

    answer = await ask(door, signed_call("StopParticipantReplication", document))

    assert answer.status == 200
    assert set(answer.headers) > SEVEN_HEADERS
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_every_answer_has_an_id_of_its_own() -> None:
    door = new_door()

    answers = [await ask(door, request) for request in (GET_STAGE, GET_STAGE, unsigned("/x"), unsigned("/ListStages"))]

    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 4


async def test_the_tag_operations_take_their_arn_from_the_path() -> None:
    door = new_door(
        operations(
            TagResource=("resourceArn", lambda _call: {}),
            UntagResource=("resourceArn", lambda _call: {}),
            ListTagsForResource=("resourceArn", lambda call: {"tags": {"arn": call.request["resourceArn"]}}),
        )
    )
    path = "/tags/arn%3Aaws%3Aivs%3Aus-west-2%3A123456789012%3Astage%2FabcdABCDefgh"

    assert (await ask(door, signed("GET", path))).json == {"tags": {"arn": STAGE_ARN}}
    assert (await ask(door, signed("GET", f"/tags/{STAGE_ARN}"))).json == {"tags": {"arn": STAGE_ARN}}
    assert (await ask(door, signed("POST", path, body=b'{"tags": {"a": "b"}}'))).status == 200
    assert (await ask(door, signed("DELETE", path + "?tagKeys=a&tagKeys=b"))).status == 200
    assert (await ask(door, signed("DELETE", path))).message == "tagKeys: is required"
    assert (await ask(door, signed("GET", path.replace("123456789012", "999999999999")))).status == 403


async def test_a_body_may_come_in_parts() -> None:
    chunks: list[Message] = [
        {"type": "http.request", "body": GET_STAGE.body[:9], "more_body": True},
        {"type": "http.request", "body": GET_STAGE.body[9:], "more_body": False},
    ]

    assert (await ask(new_door(), GET_STAGE, chunks=chunks)).status == 200


async def test_a_body_that_does_not_come_closes_the_connection() -> None:
    answer = await ask(new_door(body_timeout_seconds=0.05), GET_STAGE, chunks=[])

    assert (answer.status, answer.error) == (408, "RequestTimeoutException")
    assert answer.headers["connection"] == "close"


async def test_a_client_that_went_away_gets_nothing() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with capture_logs() as logs:
        await new_door()(scope_of(GET_STAGE), receiver(GET_STAGE, [{"type": "http.disconnect"}]), send)

    assert not sent
    assert not logs


async def test_a_cancelled_request_ends_without_an_answer() -> None:
    started = asyncio.Event()

    async def handle(_call: Call) -> Never:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    task = asyncio.create_task(ask(new_door(operations(GetStage=("arn", handle))), GET_STAGE))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("path", [b"/GetStage", b"/GetComposition", b"/tags/", b"/tags/arn%3Aaws"])
def test_paths_of_operations_are_the_doors(path: bytes) -> None:
    assert new_door().serves(path)


@pytest.mark.parametrize("path", [b"/", b"/whip", b"/health", b"/tags", b"/getstage", b"/GetStage/x"])
def test_other_paths_are_not(path: bytes) -> None:
    assert not new_door().serves(path)
