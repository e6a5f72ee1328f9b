"""The door without authentication, and the door as web pages see it."""

import json

import pytest

from tests.api.aws.harness import (
    GET_STAGE,
    STAGE_ARN,
    Request,
    ask,
    credential,
    new_door,
    signed_call,
    unsigned,
)

PAGE = b"https://app.example.com"


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
