"""The table from domain errors to the wire, and the statuses."""

import pytest

from stagebook.api.aws.aws_errors import STATUSES, ErrorType, aws_error_of
from stagebook.api.aws.rest_json.service_model import load_service_model
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
    ],
)
def test_domain_errors_have_their_names_on_the_wire(
    error: StagebookError, name: str, status: int, message: str
) -> None:
    worded = aws_error_of(error)

    assert worded is not None
    assert (worded.error_type.value, worded.status, worded.message) == (name, status, message)


def test_a_more_special_error_is_worded_as_its_kind() -> None:
    class StageGoneError(ResourceNotFoundError):
        """A special case."""

    worded = aws_error_of(StageGoneError(kind="Stage", name="x"))

    assert worded is not None
    assert worded.error_type is ErrorType.RESOURCE_NOT_FOUND


def test_errors_of_other_doors_have_no_words_here() -> None:
    assert aws_error_of(ConnectionNotFoundError()) is None


def test_every_error_has_a_status_and_modelled_ones_have_the_models() -> None:
    modelled = load_service_model().error_statuses

    assert set(STATUSES) == set(ErrorType)
    assert {name: STATUSES[ErrorType(name)] for name in modelled if name != "PendingVerification"} == {
        name: status for name, status in modelled.items() if name != "PendingVerification"
    }
