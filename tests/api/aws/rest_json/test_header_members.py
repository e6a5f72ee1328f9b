"""The constant header fields of responses."""

from stagebook.api.aws.rest_json.header_members import ALLOW_ANY_ORIGIN, MODELLED_HEADERS
from tests.api.aws.model_rules import SHAPES


def test_the_modelled_headers_are_those_of_the_models_errors() -> None:
    members = SHAPES["ValidationException"]["members"].values()
    modelled = {m["locationName"].lower() for m in members if m.get("location") == "header"} - {"x-amzn-errortype"}

    assert {name.decode() for name, _ in (*MODELLED_HEADERS, ALLOW_ANY_ORIGIN)} == modelled
