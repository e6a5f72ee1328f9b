"""The header fields of requests and responses."""

from stagebook.api.aws.rest_json.header_members import ALLOW_ANY_ORIGIN, MODELLED_HEADERS, read_headers
from tests.api.aws.model_rules import SHAPES


def test_headers_are_read_by_name() -> None:
    assert read_headers([(b"host", b"a"), (b"accept", b"b")]) == {b"host": b"a", b"accept": b"b"}


def test_lines_of_one_name_are_joined() -> None:
    lines = [(b"x-a", b" 1 "), (b"host", b"h"), (b"x-a", b"2")]

    assert read_headers(lines) == {b"x-a": b"1,2", b"host": b"h"}


def test_the_modelled_headers_are_those_of_the_models_errors() -> None:
    members = SHAPES["ValidationException"]["members"].values()
    modelled = {m["locationName"].lower() for m in members if m.get("location") == "header"} - {"x-amzn-errortype"}

    assert {name.decode() for name, _ in (*MODELLED_HEADERS, ALLOW_ANY_ORIGIN)} == modelled
