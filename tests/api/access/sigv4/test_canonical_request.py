"""The canonical form of each part of a request."""

import pytest

from stagebook.api.access.sigv4.canonical_request import (
    canonical_path,
    canonical_query,
    canonical_request,
    canonical_value,
)


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"/", b"/"),
        (b"", b"/"),
        (b"/ListStages", b"/ListStages"),
        (b"/tags/arn%3Aaws", b"/tags/arn%253Aaws"),
        (b"/tags/arn:aws", b"/tags/arn%3Aaws"),
        (b"/~a-b_c.d", b"/~a-b_c.d"),
        (b"//a///b/", b"/a/b/"),
        (b"/a/./b/../c", b"/a/c"),
        (b"/../..", b"/"),
        (b"/a/..", b"/"),
        (b"/..a/.b", b"/..a/.b"),
        (b"/a b\xff", b"/a%20b%FF"),
    ],
)
def test_the_path_is_normalized_and_encoded_twice(sent: bytes, signed: bytes) -> None:
    assert canonical_path(sent) == signed


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"", b""),
        (b"a", b"a="),
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a=2&a=1", b"a=1&a=2"),
        (b"a=b=c", b"a=b%3Dc"),
        (b"a=%2f", b"a=%2F"),
        (b"a=+", b"a=%2B"),
        (b"a=%20", b"a=%20"),
        (b"a=:", b"a=%3A"),
        (b"%C3%A9=~", b"%C3%A9=~"),
    ],
)
def test_the_query_is_sorted_and_encoded(sent: bytes, signed: bytes) -> None:
    assert canonical_query(sent) == signed


def test_header_values_are_trimmed_and_their_whitespace_collapsed() -> None:
    assert canonical_value(b"  a   b\tc ") == b"a b c"


def test_the_canonical_request_has_its_parts_in_order() -> None:
    request = canonical_request(
        method="POST",
        raw_path=b"/ListStages",
        query=b"b=&a=",
        headers={b"host": b"example.com", b"x-amz-date": b"20230426T203628Z", b"accept": b"*/*"},
        signed_headers=(b"host", b"x-amz-date"),
        payload_hash=b"00ff",
    )

    assert request == (
        b"POST\n/ListStages\na=&b=\nhost:example.com\nx-amz-date:20230426T203628Z\n\nhost;x-amz-date\n00ff"
    )


def test_a_signed_header_that_is_absent_is_named() -> None:
    with pytest.raises(KeyError, match="x-gone"):
        canonical_request(
            method="GET", raw_path=b"/", query=b"", headers={}, signed_headers=(b"x-gone",), payload_hash=b""
        )
