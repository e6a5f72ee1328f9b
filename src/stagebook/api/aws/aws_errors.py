"""What can go wrong on the AWS wire: its names, its HTTP statuses, and which domain error becomes which.

Knows nothing of HTTP messages: how an error is written is in `answer.py`.
Sources: the Errors section of each operation and the Common Errors page of the IVS Real-Time API reference.
"""

from collections.abc import Mapping
from enum import StrEnum

from stagebook.api.aws.rest_json.header_members import Header
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
    """The value of `x-amzn-ErrorType`: what an SDK shows as the error's code."""

    # Of the service model.
    ACCESS_DENIED = "AccessDeniedException"
    CONFLICT = "ConflictException"
    INTERNAL_SERVER = "InternalServerException"
    RESOURCE_NOT_FOUND = "ResourceNotFoundException"
    SERVICE_QUOTA_EXCEEDED = "ServiceQuotaExceededException"
    VALIDATION = "ValidationException"
    # Before the service: the signature.
    MISSING_AUTHENTICATION_TOKEN = "MissingAuthenticationTokenException"  # noqa: S105 - the name of an error
    INCOMPLETE_SIGNATURE = "IncompleteSignatureException"
    UNRECOGNIZED_CLIENT = "UnrecognizedClientException"
    INVALID_SIGNATURE = "InvalidSignatureException"
    # Before the service: the HTTP request.
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
"""The one table from the domain to this wire. The participants' door has errors that no AWS operation raises."""


class AwsError(Exception):
    """An error in the terms of the AWS wire. `message` is shown to the caller and holds no secret.

    `headers` are what this error says besides, such as which methods a path takes.
    """

    def __init__(self, error_type: ErrorType, message: str, *, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.headers = headers

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return STATUSES[self.error_type]


def aws_error_of(error: StagebookError) -> AwsError | None:
    """Return how this wire words a domain error; None when no operation of this door may raise it."""
    for ancestor in type(error).__mro__:
        error_type = DOMAIN_ERRORS.get(ancestor)
        if error_type is not None:
            return AwsError(error_type, str(error))
    return None
