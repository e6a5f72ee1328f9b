"""The errors of the AWS API: their names, their HTTP statuses, and the mapping from domain errors.

Most errors are shapes of the service model. The others are raised by AWS in front of the service (signature, rate,
malformed HTTP) and documented as common to all services. `rest_json.error_response` encodes them.
Sources: the Errors section of each operation and the Common Errors page of the IVS Real-Time API reference.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from stagebook.api.asgi import Header
from stagebook.stage.errors import (
    ConflictError,
    InvalidInputError,
    MalformedArnError,
    ResourceNotFoundError,
    ServerBusyError,
    ServiceQuotaExceededError,
    StagebookError,
)


class ErrorType(StrEnum):
    """The value of `x-amzn-ErrorType`, which an SDK shows as the error code."""

    # Error shapes of the service model.
    ACCESS_DENIED = "AccessDeniedException"
    CONFLICT = "ConflictException"
    INTERNAL_SERVER = "InternalServerException"
    RESOURCE_NOT_FOUND = "ResourceNotFoundException"
    SERVICE_QUOTA_EXCEEDED = "ServiceQuotaExceededException"
    VALIDATION = "ValidationException"
    # Authentication.
    MISSING_AUTHENTICATION_TOKEN = "MissingAuthenticationTokenException"  # noqa: S105 - the name of an error
    INCOMPLETE_SIGNATURE = "IncompleteSignatureException"
    UNRECOGNIZED_CLIENT = "UnrecognizedClientException"
    INVALID_SIGNATURE = "InvalidSignatureException"
    # The HTTP request as such.
    UNKNOWN_OPERATION = "UnknownOperationException"
    METHOD_NOT_ALLOWED = "MethodNotAllowedException"
    SERIALIZATION = "SerializationException"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaTypeException"
    REQUEST_ENTITY_TOO_LARGE = "RequestEntityTooLargeException"
    REQUEST_TIMEOUT = "RequestTimeoutException"
    SERVICE_UNAVAILABLE = "ServiceUnavailableException"
    THROTTLING = "ThrottlingException"


STATUSES: Mapping[ErrorType, int] = {
    ErrorType.ACCESS_DENIED: 403,
    ErrorType.CONFLICT: 409,
    ErrorType.INTERNAL_SERVER: 500,
    ErrorType.RESOURCE_NOT_FOUND: 404,
    ErrorType.SERVICE_QUOTA_EXCEEDED: 402,
    ErrorType.VALIDATION: 400,
    ErrorType.MISSING_AUTHENTICATION_TOKEN: 403,
    ErrorType.INCOMPLETE_SIGNATURE: 403,
    ErrorType.UNRECOGNIZED_CLIENT: 403,
    ErrorType.INVALID_SIGNATURE: 403,
    ErrorType.UNKNOWN_OPERATION: 404,
    ErrorType.METHOD_NOT_ALLOWED: 405,
    ErrorType.SERIALIZATION: 400,
    ErrorType.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorType.REQUEST_ENTITY_TOO_LARGE: 413,
    ErrorType.REQUEST_TIMEOUT: 408,
    ErrorType.SERVICE_UNAVAILABLE: 503,
    ErrorType.THROTTLING: 400,
}

DOMAIN_ERRORS: Mapping[type[StagebookError], ErrorType] = {
    InvalidInputError: ErrorType.VALIDATION,
    MalformedArnError: ErrorType.VALIDATION,
    ResourceNotFoundError: ErrorType.RESOURCE_NOT_FOUND,
    ConflictError: ErrorType.CONFLICT,
    ServiceQuotaExceededError: ErrorType.SERVICE_QUOTA_EXCEEDED,
    ServerBusyError: ErrorType.SERVICE_UNAVAILABLE,
}
"""The error of each domain error that an operation of this API can raise."""

_RETRY_SOON: Final[Header] = (b"retry-after", b"1")


class AwsError(Exception):
    """An error of the AWS API. `message` is shown to the caller and must not hold a secret.

    `headers` are further header fields of the response, such as Allow.
    """

    def __init__(self, error_type: ErrorType, message: str, *, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.headers = headers

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return STATUSES[self.error_type]


def internal_error() -> AwsError:
    """Return the error that hides an unexpected exception from the caller."""
    return AwsError(ErrorType.INTERNAL_SERVER, "An unexpected error occurred; the server's log has its cause.")


def aws_error_of(error: StagebookError) -> AwsError | None:
    """Return the AWS error for a domain error; None when no operation of this API may raise it."""
    for ancestor in type(error).__mro__:
        error_type = DOMAIN_ERRORS.get(ancestor)
        if error_type is not None:
            headers = (_RETRY_SOON,) if error_type is ErrorType.SERVICE_UNAVAILABLE else ()
            return AwsError(error_type, str(error), headers=headers)
    return None
