"""The door as a whole: the order of its checks, its answers and its errors."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Never

import pytest
from structlog.testing import capture_logs

from stagebook.doors.aws.body import MAXIMUM_SIZE_BYTES, Message
from stagebook.doors.aws.operation import Call
from stagebook.doors.aws.policy import ALLOW_NOTHING, parse_policy
from stagebook.stage.errors import ConnectionNotFoundError, ResourceNotFoundError
from tests.doors.aws.wire.harness import (
    STAGE_ARN,
    Received,
    Request,
    ask,
    credential,
    new_door,
    operations,
    receiver,
    scope_of,
    signed,
    signed_call,
)

PAGE = b"https://app.example.com"
GET_STAGE = signed_call("GetStage", {"arn": STAGE_ARN})
SEVEN_HEADERS = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
}


def unsigned(
    path: str, *, method: str = "POST", body: bytes = b"", headers: Mapping[bytes, bytes] | None = None
) -> Request:
    return Request(method=method, raw_path=path.encode(), body=body, headers=tuple((headers or {}).items()))


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


# --- errors


async def test_an_error_has_type_headers_and_both_messages() -> None:
    answer = await answer_to({"arn": "x"})

    assert (answer.status, answer.error) == (400, "ValidationException")
    assert answer.message.startswith("arn: must match")
    assert set(answer.headers) == SEVEN_HEADERS | {
        "content-type",
        "content-length",
        "x-amzn-requestid",
        "x-amzn-errortype",
    }


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (unsigned("/GetStage"), 403, "MissingAuthenticationTokenException"),
        (unsigned("/GetStage", headers={b"authorization": b"AWS4-HMAC-SHA256 x"}), 403, "IncompleteSignatureException"),
        (signed_call("GetStage", key_id="AKIDUNKNOWN"), 403, "UnrecognizedClientException"),
        (signed_call("GetStage", secret="wrong"), 403, "InvalidSignatureException"),
        (unsigned("/NoSuchOperation"), 404, "UnknownOperationException"),
        (unsigned("/GetStage/"), 404, "UnknownOperationException"),
        (unsigned("/GetStage", method="GET"), 405, "MethodNotAllowedException"),
        (unsigned("/GetStage", method="HEAD"), 405, "MethodNotAllowedException"),
        (unsigned("/GetStage", method="OPTIONS"), 405, "MethodNotAllowedException"),
        (unsigned("/nothing", method="OPTIONS"), 404, "UnknownOperationException"),
        (signed("POST", "/GetStage", body=b"{"), 400, "SerializationException"),
        (signed("POST", "/GetStage", headers={"content-type": "text/xml"}), 415, "UnsupportedMediaTypeException"),
        (signed("POST", "/GetStage"), 400, "ValidationException"),
        (unsigned("/GetStage", body=b"x" * (MAXIMUM_SIZE_BYTES + 1)), 413, "RequestEntityTooLargeException"),
    ],
)  # fmt: skip
async def test_mistakes_of_the_caller_have_their_names(request_: Request, status: int, error: str) -> None:
    answer = await ask(new_door(), request_)

    assert (answer.status, answer.error) == (status, error)
    assert answer.message


async def test_an_operation_that_is_not_there_yet_says_so() -> None:
    answer = await ask(new_door(), signed_call("GetComposition", {}))

    assert (answer.status, answer.error) == (404, "UnknownOperationException")
    assert answer.message == "Stagebook does not have the operation GetComposition yet."


async def test_the_signature_comes_before_everything_that_it_protects() -> None:
    door = new_door()

    for request in (
        unsigned("/GetComposition"),
        unsigned("/GetStage", body=b"{"),
        unsigned("/GetStage", body=b'{"arn": 5}', headers={b"content-type": b"text/plain"}),
    ):
        assert (await ask(door, request)).error == "MissingAuthenticationTokenException"


async def test_validation_comes_before_rights() -> None:
    door = new_door(credentials=[credential(policy=ALLOW_NOTHING)])

    assert (await ask(door, signed_call("GetStage", {"arn": "x"}))).error == "ValidationException"
    assert (await ask(door, GET_STAGE)).error == "AccessDeniedException"


async def test_rights_come_before_the_handler() -> None:
    def handle(_call: Call) -> Never:
        raise AssertionError("must not be asked")

    policy = parse_policy({"Statement": {"Effect": "Allow", "Action": "ivs:GetStage", "Resource": STAGE_ARN + "x"}})
    for credentials, arn in (
        ([credential(policy=policy)], STAGE_ARN),
        ([credential()], STAGE_ARN.replace("123456789012", "999999999999")),
        ([credential()], STAGE_ARN.replace("us-west-2", "us-east-1")),
    ):
        door = new_door(operations(GetStage=("arn", handle)), credentials=credentials)
        answer = await ask(door, signed_call("GetStage", {"arn": arn}))
        assert (answer.status, answer.error) == (403, "AccessDeniedException")
        assert answer.message == (
            "User: arn:aws:iam::123456789012:user/stagebook is not authorized to perform: "
            f"ivs:GetStage on resource: {arn}"
        )


async def test_any_foreign_arn_is_denied_not_only_the_one_the_policy_is_asked_about() -> None:
    door = new_door(operations(ListCompositions=(None, lambda _call: {})))

    answer = await ask(door, signed_call("ListCompositions", {"filterByStageArn": STAGE_ARN.replace("west", "east")}))

    assert answer.error == "AccessDeniedException"


async def test_domain_errors_of_a_handler_are_worded() -> None:
    def handle(_call: Call) -> Never:
        raise ResourceNotFoundError(kind="Stage", name=STAGE_ARN)

    answer = await ask(new_door(operations(GetStage=("arn", handle))), GET_STAGE)

    assert (answer.status, answer.error) == (404, "ResourceNotFoundException")
    assert answer.message == f"Stage {STAGE_ARN} does not exist"


@pytest.mark.parametrize("failure", [RuntimeError("the disk is on fire"), ConnectionNotFoundError()])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_unexpected_error_is_logged_and_not_told(failure: Exception, *, asynchronous: bool) -> None:
    def handle(_call: Call) -> Never:
        raise failure

    async def handle_later(call: Call) -> Never:
        handle(call)

    door = new_door(operations(GetStage=("arn", handle_later if asynchronous else handle)))
    with capture_logs() as logs:
        answer = await ask(door, GET_STAGE)

    assert (answer.status, answer.error) == (500, "InternalServerException")
    assert "fire" not in answer.message
    (line,) = logs
    assert line["exc_info"] is failure
    assert line["request_id"] == answer.headers["x-amzn-requestid"]


async def test_an_output_with_an_unknown_member_is_our_mistake() -> None:
    door = new_door(operations(GetStage=("arn", lambda _call: {"nonsense": 1})))

    with capture_logs() as logs:
        answer = await ask(door, GET_STAGE)

    assert answer.status == 500
    assert len(logs) == 1


# --- bodies


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


# --- authentication off


async def test_without_authentication_everybody_is_the_default_caller() -> None:
    door = new_door(credentials=[], unsigned_as=credential(key_id="anonymous"))
    body = json.dumps({"arn": STAGE_ARN}).encode()

    for request in (
        unsigned("/GetStage", body=body),
        GET_STAGE,
        signed_call("GetStage", {"arn": STAGE_ARN}, secret="x"),
    ):
        assert (await ask(door, request)).json == {"stage": {"arn": STAGE_ARN}}
    foreign = json.dumps({"arn": STAGE_ARN.replace("123456789012", "999999999999")}).encode()
    assert (await ask(door, unsigned("/GetStage", body=foreign))).error == "AccessDeniedException"


async def test_without_authentication_pages_of_other_origins_are_kept_out() -> None:
    body = json.dumps({"arn": STAGE_ARN}).encode()
    from_page = unsigned("/GetStage", body=body, headers={b"origin": PAGE})
    anyone = credential()

    refused = await ask(new_door(unsigned_as=anyone), from_page)
    taken = await ask(new_door(unsigned_as=anyone, allowed_origins=[PAGE.decode()]), from_page)

    assert (refused.status, refused.error) == (403, "AccessDeniedException")
    assert "access-control-allow-origin" not in refused.headers
    assert taken.status == 200


# --- browsers

PREFLIGHT = {
    b"origin": PAGE,
    b"access-control-request-method": b"POST",
    b"access-control-request-headers": b"authorization,content-type,x-amz-date",
}


@pytest.mark.parametrize(("path", "methods"), [("/GetStage", "POST"), ("/tags/x", "GET, POST, DELETE")])
async def test_a_preflight_needs_no_signature(path: str, methods: str) -> None:
    door = new_door(allowed_origins=[PAGE.decode()])

    answer = await ask(door, unsigned(path, method="OPTIONS", headers=PREFLIGHT))

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE.decode()
    assert answer.headers["access-control-allow-methods"] == methods
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-amz-date"


async def test_pages_may_read_answers_and_errors() -> None:
    door = new_door(allowed_origins=[PAGE.decode()])
    from_page = Request(
        method="POST",
        raw_path=GET_STAGE.raw_path,
        headers=(*GET_STAGE.headers, (b"origin", PAGE)),
        body=GET_STAGE.body,
    )

    for request, status in ((from_page, 200), (unsigned("/GetStage", headers={b"origin": PAGE}), 403)):
        answer = await ask(door, request)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == PAGE.decode()
        assert "x-amzn-errortype" in answer.headers["access-control-expose-headers"]


async def test_without_origins_a_preflight_is_refused() -> None:
    answer = await ask(new_door(), unsigned("/GetStage", method="OPTIONS", headers=PREFLIGHT))

    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


# --- who serves what


@pytest.mark.parametrize("path", [b"/GetStage", b"/GetComposition", b"/tags/", b"/tags/arn%3Aaws"])
def test_paths_of_operations_are_the_doors(path: bytes) -> None:
    assert new_door().serves(path)


@pytest.mark.parametrize("path", [b"/", b"/whip", b"/health", b"/tags", b"/getstage", b"/GetStage/x"])
def test_other_paths_are_not(path: bytes) -> None:
    assert not new_door().serves(path)
