"""The mapping from domain errors to AWS errors, and the HTTP statuses."""

import pytest

from stagebook.api.aws.aws_errors import STATUSES, ErrorType, aws_error_of
from stagebook.book.book_errors import BookTakenOverError, BookUnavailableError
from stagebook.stage.errors import (
    ConflictError,
    ConnectionNotFoundError,
    InvalidInputError,
    MalformedArnError,
    ResourceNotFoundError,
    ServerBusyError,
    ServiceQuotaExceededError,
    StagebookError,
)
from tests.api.aws.model_rules import SHAPES


@pytest.mark.parametrize(
    ("error", "name", "status", "message"),
    [
        (InvalidInputError(member="name", rule="is bad"), "ValidationException", 400, "name: is bad"),
        (MalformedArnError(text="x"), "ValidationException", 400, "not an ARN of this service: x"),
        (ResourceNotFoundError(kind="Stage", name="x"), "ResourceNotFoundException", 404, "Stage x does not exist"),
        (ConflictError("busy"), "ConflictException", 409, "busy"),
        (
            ServiceQuotaExceededError(quota="Stages", maximum=5),
            "ServiceQuotaExceededException",
            402,
            "Stages is at its quota of 5",
        ),
        (ServerBusyError("later"), "ServiceUnavailableException", 503, "later"),
        (BookTakenOverError("try again"), "ServiceUnavailableException", 503, "try again"),
        (BookUnavailableError("try again"), "ServiceUnavailableException", 503, "try again"),
    ],
)
def test_domain_errors_map_to_aws_errors(error: StagebookError, name: str, status: int, message: str) -> None:
    aws_error = aws_error_of(error)

    assert aws_error is not None
    assert (aws_error.error_type.value, aws_error.status, aws_error.message) == (name, status, message)
    assert aws_error.headers == (((b"retry-after", b"1"),) if status == 503 else ())


def test_a_subclass_of_a_domain_error_maps_as_its_base_class() -> None:
    class StageGoneError(ResourceNotFoundError):
        """A special case."""

    aws_error = aws_error_of(StageGoneError(kind="Stage", name="x"))

    assert aws_error is not None
    assert aws_error.error_type is ErrorType.RESOURCE_NOT_FOUND


def test_errors_of_other_apis_have_no_aws_error() -> None:
    assert aws_error_of(ConnectionNotFoundError()) is None


def test_every_error_has_a_status_and_modelled_ones_have_the_models() -> None:
    errors = {name: shape["error"] for name, shape in SHAPES.items() if shape.get("exception")}
    modelled = {name: error["httpStatusCode"] for name, error in errors.items()}

    assert set(STATUSES) == set(ErrorType)
    assert {name: STATUSES[ErrorType(name)] for name in modelled if name != "PendingVerification"} == {
        name: status for name, status in modelled.items() if name != "PendingVerification"
    }
