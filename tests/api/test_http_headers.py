"""The header fields of a request by name."""

from stagebook.api.http_headers import read_headers


def test_headers_are_read_by_name() -> None:
    assert read_headers([(b"host", b"a"), (b"accept", b"b")]) == {b"host": b"a", b"accept": b"b"}


def test_lines_of_one_name_are_joined() -> None:
    lines = [(b"x-a", b" 1 "), (b"host", b"h"), (b"x-a", b"2")]

    assert read_headers(lines) == {b"x-a": b"1,2", b"host": b"h"}
