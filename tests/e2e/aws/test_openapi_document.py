"""The OpenAPI document says what the service model says: it accepts the valid inputs and no invalid one."""

from typing import Any

import jsonschema_rs
import pytest

from tests.e2e.aws.invalid_inputs import invalid_inputs
from tests.e2e.aws.openapi_document import openapi_document
from tests.e2e.aws.valid_inputs import VALID_INPUTS

DOCUMENT = openapi_document()
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}
WITH_BODY = [
    name for name, operation in OPERATIONS.items() if "requestBody" in operation and not operation["parameters"]
]


def validator(operation: str) -> jsonschema_rs.Validator:
    """Return the validator of an operation's body."""
    schema = OPERATIONS[operation]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


def test_every_operation_is_in_the_document() -> None:
    assert set(OPERATIONS) == set(VALID_INPUTS)


@pytest.mark.parametrize("operation", WITH_BODY)
def test_a_valid_input_conforms(operation: str) -> None:
    validator(operation).validate(VALID_INPUTS[operation])


@pytest.mark.parametrize("operation", WITH_BODY)
def test_an_invalid_input_does_not_conform(operation: str) -> None:
    is_valid = validator(operation).is_valid
    assert [case for case in invalid_inputs(operation) if is_valid(case.request)] == []
