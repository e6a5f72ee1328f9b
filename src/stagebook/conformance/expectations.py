"""What checks demand of answers. Each function raises CheckFailedError with what was expected and what came."""

from stagebook.conformance.check_outcomes import CheckFailedError
from stagebook.conformance.model.output_rules import header_violations, output_violations
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json, WireAnswer

STATUSES = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 402,
    "ValidationException": 400,
    "SerializationException": 400,
    "MissingAuthenticationTokenException": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "UnrecognizedClientException": 403,
    "UnknownOperationException": 404,
    "UnsupportedMediaTypeException": 415,
    "RequestEntityTooLargeException": 413,
}
"""The status of each error: the error shapes of the service model, and the Common Errors page."""

SAME_ERRORS = {
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
}
"""Names of the same errors in front ends of other AWS services, which emulators use."""


def expect_refused(answer: WireAnswer, *codes: str) -> None:
    """Demand one of these errors with its documented status."""
    code = SAME_ERRORS.get(answer.error_code, answer.error_code)
    if code not in codes or answer.status != STATUSES[code]:
        expected = " or ".join(f"{STATUSES[code]} {code}" for code in codes)
        raise CheckFailedError(expected=expected, got=answer.summary)


def expect_equal(got: Json, expected: Json, what: str) -> None:
    """Demand that a value is equal to another one. The values are shown."""
    if got != expected:
        raise CheckFailedError(expected=f"{what} to be {expected!r}", got=repr(got))


def expect(condition: bool, *, expected: str, got: object = "something else") -> None:  # noqa: FBT001 - reads as a sentence
    """Demand a condition. `got` is shown as it is."""
    if not condition:
        raise CheckFailedError(expected=expected, got=str(got))


def expect_output(service: ServiceUnderTest, answer: WireAnswer) -> None:
    """Demand a success whose output satisfies the service model."""
    if answer.status != 200:
        raise CheckFailedError(expected="200", got=answer.summary)
    violations = output_violations(answer, service.model.operations[answer.operation])
    if violations:
        raise CheckFailedError(expected="an output of the service model's shape", got="; ".join(violations[:5]))


def expect_headers(service: ServiceUnderTest, answer: WireAnswer) -> None:
    """Demand a success with the headers that the service model makes members of the output."""
    if answer.status != 200:
        raise CheckFailedError(expected="200", got=answer.summary)
    violations = header_violations(answer, service.model.operations[answer.operation])
    if violations:
        raise CheckFailedError(expected="the headers of the service model", got="; ".join(violations))
