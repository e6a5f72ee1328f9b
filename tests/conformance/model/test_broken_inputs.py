"""Each broken input breaks one rule of the service model, and no other."""

import re

import pytest
from botocore.validate import ParamValidator

from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.aws.rest_json.validation import compile_input
from stagebook.conformance.model.api_model import input_shape
from stagebook.conformance.model.broken_inputs import BrokenInput, broken_inputs
from stagebook.conformance.model.sample_values import SampleValues
from stagebook.stage.errors import InvalidInputError
from tests.conformance.suite_runs import MODEL

SAMPLES = SampleValues(account_id="123456789012", region="us-west-2")
VALIDATORS = {name: compile_input(model.input) for name, model in load_service_model().operations.items()}
WORDS = {
    "absent": "is required",
    "wrong-type": "must be",
    "too-long": "characters",
    "too-short": "characters",
    "pattern": "must match",
    "other-resource-type": "must match",
    "not-in-enum": "must be one of|must be HLS",
    "below-minimum": "must be an? (integer|number) from",
    "above-maximum": "must be an? (integer|number) from",
    "too-many": "items|entries",
    "too-few": "items",
}
"""By rule: what Stagebook's validation says of it."""


@pytest.mark.parametrize("operation", list(MODEL.operations))
def test_the_smallest_input_is_valid(operation: str) -> None:
    members = SAMPLES.input(MODEL.operations[operation])
    assert not ParamValidator().validate(members, input_shape(MODEL.operations[operation])).has_errors()
    VALIDATORS[operation](members)


@pytest.mark.parametrize("operation", list(MODEL.operations))
def test_a_broken_input_breaks_the_rule_of_its_name(operation: str) -> None:
    for case in broken_inputs(MODEL.operations[operation], SAMPLES):
        with pytest.raises(InvalidInputError) as caught:
            VALIDATORS[operation](dict(case.members))
        assert re.search(WORDS[case.rule], str(caught.value)), (case, str(caught.value))
        assert last_step(case) in str(caught.value)


def last_step(case: BrokenInput) -> str:
    """Return the name of the member, or of the list or map around it."""
    return next(step for step in reversed(case.member.split(".")) if step not in {"item", "key", "value"})
