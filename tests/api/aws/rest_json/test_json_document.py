"""Parsing JSON request bodies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.rest_json.json_document import check_content_type, decode_document


def test_an_empty_body_is_an_empty_object() -> None:
    assert decode_document(b"") == {}


def test_the_last_of_several_equal_keys_wins() -> None:
    assert decode_document(b'{"name": "first", "name": "last"}') == {"name": "last"}


def test_escaped_surrogate_pairs_are_one_character() -> None:
    assert decode_document(b'{"name": "\\ud83d\\ude00"}') == {"name": "😀"}


@pytest.mark.parametrize(
    "body",
    [
        b" ", b"null", b"[]", b'"text"', b"5", b"true",
        b"{", b"{}}", b"{} x", b"{'a': 1}", b'{"a": 1,}', b'{"a": 01}', b'{"a": NaN}', b'{"a": 1e999}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}', b'{"\xff": 1}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}', b'{"a": "\\udc00\\ud800"}',
        b'{"a": "line\nbreak"}', b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b'{"a": ' + b"1" * 5_000 + b"}",
        b"[" * 200_000, b'{"a":' * 50_000, b"stageArn=x&sessionId=y", b"<xml/>", b"\x00",
    ],
)  # fmt: skip
def test_anything_else_is_a_serialization_error(body: bytes) -> None:
    with pytest.raises(AwsError) as refused:
        decode_document(body)
    assert refused.value.error_type is ErrorType.SERIALIZATION
    assert refused.value.status == 400


@given(
    st.dictionaries(
        st.text(max_size=9), st.integers() | st.text(max_size=9) | st.none() | st.booleans() | st.lists(st.integers())
    )
)
def test_a_json_object_is_decoded_unchanged(document: dict[str, Any]) -> None:
    assert decode_document(json.dumps(document).encode()) == document
    assert decode_document(json.dumps(document, ensure_ascii=False).encode()) == document


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_document_or_a_serialization_error(body: bytes) -> None:
    try:
        assert isinstance(decode_document(body), dict)
    except AwsError as error:
        assert error.error_type is ErrorType.SERIALIZATION  # noqa: PT017 - both outcomes are correct


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b"Application/JSON;charset=UTF-8",
        b" application/json ",
        b"application/x-amz-json-1.0",
        b"application/x-amz-json-1.1",
    ],
)
def test_json_and_absent_content_types_are_accepted(content_type: bytes | None) -> None:
    check_content_type({} if content_type is None else {b"content-type": content_type})


@pytest.mark.parametrize(
    "content_type",
    [b"", b"text/plain", b"text/json", b"application/xml", b"application/x-www-form-urlencoded", b"application/jsonx"],
)
def test_other_content_types_are_refused(content_type: bytes) -> None:
    with pytest.raises(AwsError) as refused:
        check_content_type({b"content-type": content_type})
    assert refused.value.error_type is ErrorType.UNSUPPORTED_MEDIA_TYPE
    assert refused.value.status == 415
