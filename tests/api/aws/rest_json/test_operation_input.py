"""Inputs read from path, query and body."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.aws.aws_errors import AwsError
from stagebook.api.aws.rest_json.operation_input import compile_input_reader
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.aws.rest_json.validation import compile_input
from stagebook.stage.errors import InvalidInputError
from tests.api.aws.asgi_harness import STAGE_ARN

OPERATIONS = load_service_model().operations


def read(
    operation: str, *, label: bytes = b"", query: bytes = b"", body: bytes = b"", **headers: str
) -> dict[str, Any]:
    lines = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return compile_input_reader(OPERATIONS[operation], compile_input(OPERATIONS[operation].input))(
        label, query, lines, body
    )


ENCODED_ARN = quote(STAGE_ARN, safe="").encode()


@pytest.mark.parametrize(
    "label", [ENCODED_ARN, ENCODED_ARN.lower(), STAGE_ARN.encode(), ENCODED_ARN.replace(b"%2F", b"/")]
)
def test_the_arn_in_the_path_may_be_encoded_or_not(label: bytes) -> None:
    expected = {"resourceArn": STAGE_ARN} if label != ENCODED_ARN.lower() else {"resourceArn": STAGE_ARN.lower()}
    assert read("ListTagsForResource", label=label) == expected


@pytest.mark.parametrize(
    "label", [b"", b"x", b"%", b"%zz", b"arn%3Aaws", ENCODED_ARN + b"%0A", ENCODED_ARN + b"/", b"a" * 200]
)
def test_a_path_without_an_arn_is_invalid(label: bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read("ListTagsForResource", label=label)
    assert refused.value.member == "resourceArn"


def test_a_path_that_is_not_utf8_is_invalid() -> None:
    with pytest.raises(InvalidInputError, match="resourceArn: must be percent-encoded UTF-8"):
        read("ListTagsForResource", label=b"%ff%fe")


@given(st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=8))
def test_repeated_query_members_are_a_list_in_their_order(keys: list[str]) -> None:
    query = "&".join(f"tagKeys={quote(key, safe='')}" for key in keys)

    request = read("UntagResource", label=ENCODED_ARN, query=query.encode())

    assert request == {"resourceArn": STAGE_ARN, "tagKeys": keys}


def test_a_plus_sign_in_the_query_is_a_plus_sign() -> None:
    assert read("UntagResource", label=ENCODED_ARN, query=b"tagKeys=a+b%20c")["tagKeys"] == ["a+b c"]


@pytest.mark.parametrize("query", [b"", b"other=1", b"tagkeys=a", b"&&="])
def test_a_required_query_member_must_be_present(query: bytes) -> None:
    with pytest.raises(InvalidInputError, match="tagKeys: is required"):
        read("UntagResource", label=ENCODED_ARN, query=query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"tagKeys=", r"tagKeys\[0\]: must have 1 to 128 characters"),
        (b"tagKeys=a&tagKeys=" + b"b" * 129, r"tagKeys\[1\]: must have 1 to 128 characters"),
        (b"&".join([b"tagKeys=a"] * 51), "tagKeys: must have 0 to 50 items"),
        (b"tagKeys=%ff", "tagKeys: must be percent-encoded UTF-8"),
    ],
)
def test_query_members_are_validated(query: bytes, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        read("UntagResource", label=ENCODED_ARN, query=query)


def test_the_input_has_members_of_the_path_and_the_body() -> None:
    request = read("TagResource", label=ENCODED_ARN, body=b'{"tags": {"team": "blue"}, "resourceArn": "other"}')

    assert request == {"resourceArn": STAGE_ARN, "tags": {"team": "blue"}}


def test_operations_without_a_body_ignore_one() -> None:
    assert read("ListTagsForResource", label=ENCODED_ARN, body=b"not json", content_type="text/plain")


def test_a_body_of_another_type_is_refused_before_it_is_read() -> None:
    with pytest.raises(AwsError, match="content type"):
        read("ListStages", body=b"not json", content_type="text/plain")
