"""The error responses of the AWS API, and the order of its checks."""

from typing import Never

import pytest
from structlog.testing import capture_logs

from stagebook.api.access.policy import ALLOW_NOTHING, parse_policy
from stagebook.api.aws.operation import Call
from stagebook.api.aws.rest_json.request_body import MAXIMUM_SIZE_BYTES
from stagebook.log_rate_limit import MAX_LINES
from stagebook.stage.errors import ConnectionNotFoundError, ResourceNotFoundError
from tests.api.aws.asgi_harness import (
    GET_STAGE,
    MODELLED_HEADER_NAMES,
    STAGE_ARN,
    ReceivedResponse,
    Request,
    credential,
    new_api,
    operations,
    send_request,
    signed,
    signed_call,
    unsigned,
)


async def response_to(document: object, *, operation: str = "GetStage") -> ReceivedResponse:
    return await send_request(new_api(), signed_call(operation, document))


async def test_an_error_has_type_headers_and_both_messages() -> None:
    response = await response_to({"arn": "x"})

    assert (response.status, response.error) == (400, "ValidationException")
    assert response.message.startswith("arn: must match")
    assert set(response.headers) == MODELLED_HEADER_NAMES | {
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
        (unsigned("/GetStage", body=b"x" * (MAXIMUM_SIZE_BYTES + 1)), 403, "MissingAuthenticationTokenException"),
        (signed("POST", "/GetStage", body=b"x" * (MAXIMUM_SIZE_BYTES + 1)), 413, "RequestEntityTooLargeException"),
    ],
)  # fmt: skip
async def test_each_client_error_has_its_name_and_status(request_: Request, status: int, error: str) -> None:
    response = await send_request(new_api(), request_)

    assert (response.status, response.error) == (status, error)
    assert response.message


async def test_an_operation_that_is_not_implemented_is_unknown() -> None:
    response = await send_request(new_api(), signed_call("GetComposition", {}))

    assert (response.status, response.error) == (404, "UnknownOperationException")
    assert response.message == "Stagebook does not have the operation GetComposition yet."


async def test_the_signature_is_checked_before_the_input() -> None:
    api = new_api()

    for request in (
        unsigned("/GetComposition"),
        unsigned("/GetStage", body=b"{"),
        unsigned("/GetStage", body=b'{"arn": 5}', headers={b"content-type": b"text/plain"}),
    ):
        assert (await send_request(api, request)).error == "MissingAuthenticationTokenException"


async def test_validation_comes_before_authorization() -> None:
    api = new_api(credentials=[credential(policy=ALLOW_NOTHING)])

    assert (await send_request(api, signed_call("GetStage", {"arn": "x"}))).error == "ValidationException"
    assert (await send_request(api, GET_STAGE)).error == "AccessDeniedException"


async def test_authorization_comes_before_the_handler() -> None:
    def handle(_call: Call) -> Never:
        raise AssertionError("must not be called")

    policy = parse_policy({"Statement": {"Effect": "Allow", "Action": "ivs:GetStage", "Resource": STAGE_ARN + "x"}})
    for credentials, arn in (
        ([credential(policy=policy)], STAGE_ARN),
        ([credential()], STAGE_ARN.replace("123456789012", "999999999999")),
        ([credential()], STAGE_ARN.replace("us-west-2", "us-east-1")),
    ):
        api = new_api(operations(GetStage=("arn", handle)), credentials=credentials)
        response = await send_request(api, signed_call("GetStage", {"arn": arn}))
        assert (response.status, response.error) == (403, "AccessDeniedException")
        assert response.message == (
            "User: arn:aws:iam::123456789012:user/stagebook is not authorized to perform: "
            f"ivs:GetStage on resource: {arn}"
        )


async def test_every_arn_of_the_input_must_be_of_the_own_account_and_region() -> None:
    api = new_api(operations(ListCompositions=(None, lambda _call: {})))

    response = await send_request(
        api, signed_call("ListCompositions", {"filterByStageArn": STAGE_ARN.replace("west", "east")})
    )

    assert response.error == "AccessDeniedException"


async def test_domain_errors_of_a_handler_become_aws_errors() -> None:
    def handle(_call: Call) -> Never:
        raise ResourceNotFoundError(kind="Stage", name=STAGE_ARN)

    response = await send_request(new_api(operations(GetStage=("arn", handle))), GET_STAGE)

    assert (response.status, response.error) == (404, "ResourceNotFoundException")
    assert response.message == f"Stage {STAGE_ARN} does not exist"


@pytest.mark.parametrize("failure", [RuntimeError("disk full"), ConnectionNotFoundError()])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_unexpected_error_is_logged_and_hidden(failure: Exception, *, asynchronous: bool) -> None:
    def handle(_call: Call) -> Never:
        raise failure

    async def handle_later(call: Call) -> Never:
        handle(call)

    api = new_api(operations(GetStage=("arn", handle_later if asynchronous else handle)))
    with capture_logs() as logs:
        response = await send_request(api, GET_STAGE)

    assert (response.status, response.error) == (500, "InternalServerException")
    assert "disk" not in response.message
    (line,) = logs
    assert line["exc_info"] is failure
    assert line["request_id"] == response.headers["x-amzn-requestid"]


async def test_a_repeated_unexpected_error_causes_a_limited_number_of_log_lines() -> None:
    def handle(_call: Call) -> Never:
        raise RuntimeError("disk")

    api = new_api(operations(GetStage=("arn", handle)))
    with capture_logs() as logs:
        statuses = {(await send_request(api, GET_STAGE)).status for _ in range(3 * MAX_LINES)}
    assert statuses == {500}
    assert len(logs) == MAX_LINES


async def test_an_output_with_an_unknown_member_is_an_internal_error() -> None:
    api = new_api(operations(GetStage=("arn", lambda _call: {"nonsense": 1})))

    with capture_logs() as logs:
        response = await send_request(api, GET_STAGE)

    assert response.status == 500
    assert len(logs) == 1
