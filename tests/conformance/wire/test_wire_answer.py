"""What an answer says of its error, in each of the forms of restJson1."""

import json

import pytest

from stagebook.conformance.check_outcomes import CheckFailedError
from stagebook.conformance.wire.wire_answer import WireAnswer


def answer(*, body: bytes = b"", **headers: str) -> WireAnswer:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireAnswer(operation="GetStage", status=400, headers=lines, body=body)


@pytest.mark.parametrize(
    "given",
    [
        answer(x_amzn_errortype="ValidationException"),
        answer(x_amzn_errortype="ValidationException:http://internal.amazon.com/coral/"),
        answer(body=json.dumps({"__type": "com.amazonaws.ivs#ValidationException"}).encode()),
        answer(body=json.dumps({"code": "ValidationException"}).encode()),
    ],
)
def test_the_name_of_the_error(given: WireAnswer) -> None:
    assert given.error_code == "ValidationException"


@pytest.mark.parametrize("member", ["exceptionMessage", "message", "Message"])
def test_the_message(member: str) -> None:
    assert answer(body=json.dumps({member: "why"}).encode()).message == "why"


def test_an_answer_without_json_has_no_error_name_and_no_document() -> None:
    given = answer(body=b"<html>")
    assert (given.error_code, given.message) == ("", "")
    with pytest.raises(CheckFailedError):
        given.json()


def test_the_summary_of_a_success_does_not_show_its_body() -> None:
    given = WireAnswer(operation="GetStage", status=200, headers={}, body=b'{"token":"secret"}')
    assert given.summary == "200 with 18 bytes"
