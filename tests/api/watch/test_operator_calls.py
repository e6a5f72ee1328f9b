"""Operations of the AWS API with the access of the watch API."""

import pytest
from structlog.testing import capture_logs

from stagebook.api.access.policy import Identity
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import Role
from stagebook.log_rate_limit import MAX_LINES
from tests.api.aws.asgi_harness import STAGE_ARN
from tests.api.watch.access.access_harness import CONSOLE, AccessHarness, bearer, document


def path(operation: str) -> str:
    return f"/watch/v1/operations/{operation}"


async def test_an_operation_answers_as_the_aws_api_does() -> None:
    harness = AccessHarness()
    headers = bearer(harness.store.create())
    response = await harness.request("POST", path("GetStage"), body={"arn": STAGE_ARN}, headers=headers)
    assert (response.status, document(response)) == (200, {"stage": {"arn": STAGE_ARN}})
    assert dict(response.headers)[b"x-amzn-requestid"]


@pytest.mark.parametrize(
    ("operation", "body", "status", "error"),
    [
        ("GetStage", {"arn": "x"}, 400, "ValidationException"),
        ("GetStage", [], 400, "SerializationException"),
        ("GetStage", {"arn": STAGE_ARN.replace("123456789012", "999999999999")}, 403, "AccessDeniedException"),
        ("ListStages", {}, 404, "UnknownOperationException"),
        ("CreateStage", {}, 404, "UnknownOperationException"),
    ],
)
async def test_an_error_is_that_of_the_aws_api(operation: str, body: object, status: int, error: str) -> None:
    harness = AccessHarness()
    response = await harness.request(
        "POST", path(operation), body=body, headers=bearer(harness.store.create(Role.OPERATOR))
    )
    assert (response.status, dict(response.headers)[b"x-amzn-errortype"].decode()) == (status, error)
    assert document(response)["message"]


async def test_an_unknown_operation_is_not_found() -> None:
    harness = AccessHarness()
    response = await harness.request("POST", path("GetStages"), body={}, headers=bearer(harness.store.create()))
    assert (response.status, document(response)["code"]) == (404, "NOT_FOUND")


async def test_a_session_that_changes_something_needs_the_console() -> None:
    harness = AccessHarness()
    cookie = {"cookie": await harness.sign_in(harness.store.create(Role.OPERATOR))}
    refused = await harness.request("POST", path("GetStage"), body={"arn": STAGE_ARN}, headers=cookie)
    assert refused.status == 403
    served = await harness.request("POST", path("GetStage"), body={"arn": STAGE_ARN}, headers=cookie | CONSOLE)
    assert served.status == 200


async def test_each_change_is_logged_and_reading_is_not() -> None:
    async def call_operation(_name: str, _identity: Identity, _body: bytes) -> HttpResponse:
        return HttpResponse(status=200)

    harness = AccessHarness(call_operation=call_operation)
    key = harness.store.create(Role.OPERATOR)
    with capture_logs() as lines:
        for operation in ("CreateStage", "GetStage", "ListStages"):
            await harness.request("POST", path(operation), body={"a": "secret"}, headers=bearer(key))
    (line,) = lines
    assert (line["operation"], line["caller"], line["status"]) == ("CreateStage", key.split("_")[1], 200)
    assert "secret" not in str(line)


async def test_the_refused_calls_of_a_reader_do_not_fill_the_log() -> None:
    harness = AccessHarness()
    headers = bearer(harness.store.create(Role.READER))
    with capture_logs() as lines:
        for _ in range(MAX_LINES + 1):
            response = await harness.request("POST", path("CreateStage"), body={}, headers=headers)
            assert response.status >= 400
    assert [line["event"] for line in lines] == ["operator call"] * MAX_LINES
