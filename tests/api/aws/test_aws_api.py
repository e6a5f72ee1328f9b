"""The AWS API as a whole: successful calls, bodies, and clients that disconnect."""

import asyncio
from collections.abc import Mapping
from typing import Any, Never

import pytest
from structlog.testing import capture_logs

from stagebook.api.asgi import Message
from stagebook.api.aws.operation import Call
from tests.api.aws.asgi_harness import (
    GET_STAGE,
    MODELLED_HEADER_NAMES,
    STAGE_ARN,
    new_api,
    operations,
    receiver,
    scope_of,
    send_request,
    signed,
    signed_call,
    unsigned,
)


async def test_a_signed_call_is_answered() -> None:
    response = await send_request(new_api(), GET_STAGE)

    assert response.status == 200
    assert response.json == {"stage": {"arn": STAGE_ARN}}
    assert set(response.headers) == {"content-type", "content-length", "x-amzn-requestid"}
    assert response.headers["content-type"] == "application/json"


async def test_the_handler_gets_the_caller_and_the_validated_input() -> None:
    seen: list[Call] = []

    def handle(call: Call) -> Mapping[str, Any]:
        seen.append(call)
        return {"events": []}

    api = new_api(operations(ListParticipantEvents=("stageArn", handle)))
    document = {"stageArn": STAGE_ARN, "sessionId": "st-a1b2c3d4e5f6g", "participantId": "abCDEf12GHIj"}
    await send_request(api, signed_call("ListParticipantEvents", {**document, "nextToken": None, "unknown": 1}))

    (call,) = seen
    assert call.request == document
    assert call.caller.account_id == "123456789012"
    assert call.caller.arn == "arn:aws:iam::123456789012:user/stagebook"


async def test_handlers_may_be_asynchronous() -> None:
    async def handle(_call: Call) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return {"participantToken": {"expirationTime": 1_682_541_388_000}}

    api = new_api(operations(CreateParticipantToken=("stageArn", handle)))
    response = await send_request(api, signed_call("CreateParticipantToken", {"stageArn": STAGE_ARN}))

    assert response.json == {"participantToken": {"expirationTime": "2023-04-26T20:36:28.000Z"}}


async def test_encoded_bodies_are_sent_unchanged() -> None:
    async def handle_later(_call: Call) -> bytes:
        return b'{"events":[2]}'

    for handle, body in ((lambda _call: b'{"events":[1]}', b'{"events":[1]}'), (handle_later, b'{"events":[2]}')):
        response = await send_request(new_api(operations(ListStages=(None, handle))), signed_call("ListStages"))
        assert response.body == body


async def test_an_output_without_members_is_an_empty_body() -> None:
    api = new_api(operations(DeleteStage=("arn", lambda _call: {})))

    response = await send_request(api, signed_call("DeleteStage", {"arn": STAGE_ARN}))

    assert (response.status, response.body) == (200, b"")
    assert response.headers["content-type"] == "application/json"


async def test_outputs_with_modelled_headers_have_all_seven() -> None:
    api = new_api(operations(StopParticipantReplication=("sourceStageArn", lambda _call: {})))
    document = {"sourceStageArn": STAGE_ARN, "destinationStageArn": STAGE_ARN, "participantId": "p"}

    response = await send_request(api, signed_call("StopParticipantReplication", document))

    assert response.status == 200
    assert set(response.headers) > MODELLED_HEADER_NAMES
    assert response.headers["access-control-allow-origin"] == "*"


async def test_every_response_has_its_own_request_id() -> None:
    api = new_api()

    responses = [
        await send_request(api, request) for request in (GET_STAGE, GET_STAGE, unsigned("/x"), unsigned("/ListStages"))
    ]

    assert len({response.headers["x-amzn-requestid"] for response in responses}) == 4


async def test_the_tag_operations_take_their_arn_from_the_path() -> None:
    api = new_api(
        operations(
            TagResource=("resourceArn", lambda _call: {}),
            UntagResource=("resourceArn", lambda _call: {}),
            ListTagsForResource=("resourceArn", lambda call: {"tags": {"arn": call.request["resourceArn"]}}),
        )
    )
    path = "/tags/arn%3Aaws%3Aivs%3Aus-west-2%3A123456789012%3Astage%2FabcdABCDefgh"

    assert (await send_request(api, signed("GET", path))).json == {"tags": {"arn": STAGE_ARN}}
    assert (await send_request(api, signed("GET", f"/tags/{STAGE_ARN}"))).json == {"tags": {"arn": STAGE_ARN}}
    assert (await send_request(api, signed("POST", path, body=b'{"tags": {"a": "b"}}'))).status == 200
    assert (await send_request(api, signed("DELETE", path + "?tagKeys=a&tagKeys=b"))).status == 200
    assert (await send_request(api, signed("DELETE", path))).message == "tagKeys: is required"
    assert (await send_request(api, signed("GET", path.replace("123456789012", "999999999999")))).status == 403


async def test_a_body_in_several_messages_is_accepted() -> None:
    chunks: list[Message] = [
        {"type": "http.request", "body": GET_STAGE.body[:9], "more_body": True},
        {"type": "http.request", "body": GET_STAGE.body[9:], "more_body": False},
    ]

    assert (await send_request(new_api(), GET_STAGE, chunks=chunks)).status == 200


async def test_a_body_timeout_closes_the_connection() -> None:
    response = await send_request(new_api(body_timeout_seconds=0.05), GET_STAGE, chunks=[])

    assert (response.status, response.error) == (408, "RequestTimeoutException")
    assert response.headers["connection"] == "close"


async def test_a_disconnected_client_gets_no_response_and_is_not_logged() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with capture_logs() as logs:
        await new_api()(scope_of(GET_STAGE), receiver(GET_STAGE, [{"type": "http.disconnect"}]), send)

    assert not sent
    assert not logs


async def test_a_cancelled_request_gets_no_response() -> None:
    started = asyncio.Event()

    async def handle(_call: Call) -> Never:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    task = asyncio.create_task(send_request(new_api(operations(GetStage=("arn", handle))), GET_STAGE))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("path", [b"/GetStage", b"/GetComposition", b"/tags/", b"/tags/arn%3Aaws"])
def test_paths_of_operations_are_served(path: bytes) -> None:
    assert new_api().serves(path)


@pytest.mark.parametrize("path", [b"/", b"/whip", b"/health", b"/tags", b"/getstage", b"/GetStage/x"])
def test_other_paths_are_not_served(path: bytes) -> None:
    assert not new_api().serves(path)
