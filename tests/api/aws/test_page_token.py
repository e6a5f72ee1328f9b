"""A page token is valid only for the call that it was made for."""

import re
import string
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stagebook.api.aws.operation import Call, Caller
from stagebook.api.aws.page_token import DEFAULT_PAGE_SIZE, PageTokens, page_size
from stagebook.stage.errors import InvalidInputError

OPERATION = "ListParticipantEvents"
TOKENS = PageTokens(secret=b"a secret of the server")
REQUEST = {
    "stageArn": "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    "sessionId": "st-a1b2c3d4e5f6g",
    "participantId": "abCDEf12GHIj",
}
LETTERS = 'aZ9_-"\\é😀\x00'
POSITIONS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
VALUES = st.one_of(st.text(LETTERS, max_size=8), st.booleans(), st.integers(-(2**40), 2**40))
REQUESTS = st.dictionaries(st.sampled_from(["stageArn", "sessionId", "filterByUserId", "filterByPublished"]), VALUES)


def a_call(request: dict[str, Any], *, account_id: str = "123456789012") -> Call:
    return Call(caller=Caller(access_key_id="AKIDEXAMPLE", account_id=account_id, arn="arn"), request=request)


def sealed(position: int, request: dict[str, Any] | None = None) -> str:
    token = TOKENS.seal(OPERATION, a_call(REQUEST if request is None else request), position)
    assert token is not None
    return token


def opened(token: str, request: dict[str, Any] | None = None, *, operation: str = OPERATION) -> int | None:
    return TOKENS.open(operation, a_call({**(REQUEST if request is None else request), "nextToken": token}))


@settings(max_examples=60, deadline=None)
@given(position=POSITIONS, request=REQUESTS)
def test_opening_a_token_returns_the_sealed_position(position: int, request: dict[str, Any]) -> None:
    assert opened(sealed(position, request), request) == position


@settings(max_examples=60, deadline=None)
@given(position=POSITIONS)
def test_a_token_matches_the_pattern_of_the_service_model(position: int) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9+/=_-]{1,1024}", sealed(position))


def test_without_a_position_there_is_no_token() -> None:
    assert TOKENS.seal(OPERATION, a_call(REQUEST), None) is None


@pytest.mark.parametrize("paging", [{}, {"nextToken": ""}])
def test_a_call_without_a_token_starts_at_the_first_page(paging: dict[str, str]) -> None:
    assert TOKENS.open(OPERATION, a_call({**REQUEST, **paging})) is None


def test_the_page_size_may_change_between_pages() -> None:
    token = sealed(7, {**REQUEST, "maxResults": 1})
    assert opened(token, {**REQUEST, "maxResults": 100}) == 7


def test_the_order_of_the_members_does_not_matter() -> None:
    token = sealed(7, REQUEST)
    assert opened(token, dict(reversed(REQUEST.items()))) == 7


@settings(max_examples=60, deadline=None)
@given(position=POSITIONS, request=REQUESTS, other=REQUESTS)
def test_a_token_of_another_request_is_refused(position: int, request: dict[str, Any], other: dict[str, Any]) -> None:
    assume(msgspec.json.encode(request, order="sorted") != msgspec.json.encode(other, order="sorted"))
    with pytest.raises(InvalidInputError):
        opened(sealed(position, request), other)


def test_a_token_of_another_operation_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        opened(sealed(7), operation="ListParticipants")


def test_a_token_of_another_account_is_refused() -> None:
    call = a_call({**REQUEST, "nextToken": sealed(7)}, account_id="210987654321")
    with pytest.raises(InvalidInputError):
        TOKENS.open(OPERATION, call)


def test_a_token_of_another_server_is_refused() -> None:
    token = PageTokens(secret=b"a secret of another server").seal(OPERATION, a_call(REQUEST), 7)
    with pytest.raises(InvalidInputError):
        opened(token or "")


@settings(max_examples=60, deadline=None)
@given(token=st.text(string.ascii_letters + string.digits + "+/=_-", min_size=1, max_size=1024))
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        opened(token)
    assert refused.value.member == "nextToken"


@settings(max_examples=60, deadline=None)
@given(token=st.text(LETTERS, min_size=1, max_size=64))
def test_any_string_is_refused_without_an_internal_error(token: str) -> None:
    with pytest.raises(InvalidInputError):
        opened(token)


@settings(max_examples=60, deadline=None)
@given(
    position=POSITIONS, index=st.integers(0, 31), letter=st.sampled_from(string.ascii_letters + string.digits + "_-")
)
def test_a_token_with_one_letter_changed_is_refused(position: int, index: int, letter: str) -> None:
    token = sealed(position)
    assume(token[index] != letter)
    with pytest.raises(InvalidInputError):
        opened(token[:index] + letter + token[index + 1 :])


@pytest.mark.parametrize("respelled", [f"{sealed(7)}=", f"{sealed(7)}====", sealed(7)[:-1], sealed(7)[:-1] + "="])
def test_a_second_spelling_of_a_token_is_refused(respelled: str) -> None:
    with pytest.raises(InvalidInputError):
        opened(respelled)


def test_the_default_page_size_is_fifty() -> None:
    assert page_size(a_call(REQUEST)) == DEFAULT_PAGE_SIZE == 50
    assert page_size(a_call({**REQUEST, "maxResults": 3})) == 3
