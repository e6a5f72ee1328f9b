"""The AWS API without authentication, and its CORS responses to browsers."""

import json
from typing import Any

import pytest

from tests.api.aws.asgi_harness import (
    GET_STAGE,
    STAGE_ARN,
    Request,
    credential,
    new_api,
    send_request,
    signed_call,
    unsigned,
)

PAGE = b"https://app.example.com"


async def test_without_authentication_every_request_is_of_the_default_caller() -> None:
    api = new_api(credentials=[], unsigned_as=credential(key_id="anonymous"))
    body = json.dumps({"arn": STAGE_ARN}).encode()

    for request in (
        unsigned("/GetStage", body=body),
        GET_STAGE,
        signed_call("GetStage", {"arn": STAGE_ARN}, secret="x"),
    ):
        assert (await send_request(api, request)).json == {"stage": {"arn": STAGE_ARN}}
    foreign = json.dumps({"arn": STAGE_ARN.replace("123456789012", "999999999999")}).encode()
    assert (await send_request(api, unsigned("/GetStage", body=foreign))).error == "AccessDeniedException"


async def test_without_authentication_pages_of_other_origins_are_refused() -> None:
    body = json.dumps({"arn": STAGE_ARN}).encode()
    from_page = unsigned("/GetStage", body=body, headers={b"origin": PAGE})
    anyone = credential()

    refused = await send_request(new_api(unsigned_as=anyone), from_page)
    taken = await send_request(new_api(unsigned_as=anyone, allowed_origins=[PAGE.decode()]), from_page)

    assert (refused.status, refused.error) == (403, "AccessDeniedException")
    assert "access-control-allow-origin" not in refused.headers
    assert taken.status == 200


@pytest.mark.parametrize("origin", [{}, {b"origin": PAGE}])
async def test_without_authentication_a_page_cannot_call_by_a_host_name_of_its_own(origin: dict[bytes, bytes]) -> None:
    """DNS rebinding: the name of the page resolves to this server, so its requests are of its own origin."""
    body = json.dumps({"arn": STAGE_ARN}).encode()

    async def status(host: bytes, **arguments: Any) -> int:  # noqa: ANN401 - arguments of new_api
        api = new_api(allowed_origins=[PAGE.decode()], **arguments)
        return (await send_request(api, unsigned("/GetStage", body=body, headers={b"host": host, **origin}))).status

    assert await status(b"evil.example:8080", unsigned_as=credential()) == 403
    assert await status(b"127.0.0.1:8080", unsigned_as=credential()) == 200
    assert await status(b"stages.example.com", unsigned_as=credential(), unsigned_hosts=["stages.example.com"]) == 200


PREFLIGHT = {
    b"origin": PAGE,
    b"access-control-request-method": b"POST",
    b"access-control-request-headers": b"authorization,content-type,x-amz-date",
}


@pytest.mark.parametrize(("path", "methods"), [("/GetStage", "POST"), ("/tags/x", "GET, POST, DELETE")])
async def test_a_preflight_needs_no_signature(path: str, methods: str) -> None:
    api = new_api(allowed_origins=[PAGE.decode()])

    response = await send_request(api, unsigned(path, method="OPTIONS", headers=PREFLIGHT))

    assert response.status == 200
    assert response.headers["access-control-allow-origin"] == PAGE.decode()
    assert response.headers["access-control-allow-methods"] == methods
    assert response.headers["access-control-allow-headers"] == "authorization,content-type,x-amz-date"


async def test_allowed_origins_may_read_responses_and_errors() -> None:
    api = new_api(allowed_origins=[PAGE.decode()])
    from_page = Request(
        method="POST",
        raw_path=GET_STAGE.raw_path,
        headers=(*GET_STAGE.headers, (b"origin", PAGE)),
        body=GET_STAGE.body,
    )

    for request, status in ((from_page, 200), (unsigned("/GetStage", headers={b"origin": PAGE}), 403)):
        response = await send_request(api, request)
        assert response.status == status
        assert response.headers["access-control-allow-origin"] == PAGE.decode()
        assert "x-amzn-errortype" in response.headers["access-control-expose-headers"]


async def test_without_allowed_origins_a_preflight_is_refused() -> None:
    response = await send_request(new_api(), unsigned("/GetStage", method="OPTIONS", headers=PREFLIGHT))

    assert response.status == 405
    assert "access-control-allow-origin" not in response.headers
