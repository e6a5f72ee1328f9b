"""The service model as values, and the corrections of its known defects."""

import pytest

from stagebook.api.aws.rest_json.service_model import (
    ENUM_ADDITIONS,
    PATTERN_OVERRIDES,
    Location,
    ShapeKind,
    load_service_model,
)
from tests.api.aws.model_rules import OPERATIONS, SHAPES

MODEL = load_service_model()


def test_all_forty_operations_are_there() -> None:
    assert set(MODEL.operations) == set(OPERATIONS)
    assert len(MODEL.operations) == 40
    assert MODEL.signing_name == "ivs"


def test_an_operation_has_its_method_uri_and_bindings() -> None:
    untag = MODEL.operations["UntagResource"]

    assert (untag.method, untag.uri) == ("DELETE", "/tags/{resourceArn}")
    assert {member.name: member.location for member in untag.input.members} == {
        "resourceArn": Location.URI,
        "tagKeys": Location.QUERY,
    }
    assert all(member.required for member in untag.input.members)


def test_a_shape_has_the_rules_of_the_model() -> None:
    session_id = next(m.shape for m in MODEL.operations["GetStageSession"].input.members if m.name == "sessionId")

    assert session_id.kind is ShapeKind.STRING
    assert (session_id.minimum, session_id.maximum, session_id.pattern) == (16, 16, "st-[a-zA-Z0-9]+")


@pytest.mark.parametrize("name", sorted(PATTERN_OVERRIDES))
def test_each_override_replaces_a_pattern_of_the_model(name: str) -> None:
    assert SHAPES[name]["pattern"] != PATTERN_OVERRIDES[name]


@pytest.mark.parametrize("name", sorted(ENUM_ADDITIONS))
def test_each_added_enum_value_is_missing_in_the_model(name: str) -> None:
    assert not set(ENUM_ADDITIONS[name]) & set(SHAPES[name]["enum"])


def test_the_resource_pattern_is_the_overridden_one() -> None:
    (arn,) = MODEL.operations["ListTagsForResource"].input.members

    assert arn.shape.pattern == PATTERN_OVERRIDES["ResourceArn"]
