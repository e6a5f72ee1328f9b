"""How the door words mistakes, denials and failures, and in which order it looks for them."""

from typing import Never

import pytest
from structlog.testing import capture_logs

from stagebook.api.aws.access.policy import ALLOW_NOTHING, parse_policy
from stagebook.api.aws.operation import Call
from stagebook.api.aws.rest_json.request_body import MAXIMUM_SIZE_BYTES
from stagebook.stage.errors import ConnectionNotFoundError, ResourceNotFoundError
from tests.api.aws.harness import (
    GET_STAGE,
    SEVEN_HEADERS,
    STAGE_ARN,
    Received,
    Request,
    ask,
    credential,
    new_door,
    operations,
    signed,
    signed_call,
    unsigned,
)


async def answer_to(document: object, *, operation: str = "GetStage") -> Received:
    return await ask(new_door(), signed_call(operation, document))


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
