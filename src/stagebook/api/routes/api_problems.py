"""The error responses of APIs that are made of routes: problem details (RFC 9457) with a constant `code` for programs.

{"status": 400, "code": "INVALID_PARAMETER", "detail": "limit: expected `int` <= 1000"}
"""

from enum import StrEnum

import msgspec

from stagebook.api.asgi import Header
from stagebook.api.http_responses import HttpResponse
from stagebook.stage.errors import (
    ConflictError,
    InvalidInputError,
    MalformedArnError,
    ResourceNotFoundError,
    ServerBusyError,
    ServiceQuotaExceededError,
    StagebookError,
)

_CONTENT_TYPE: Header = (b"content-type", b"application/problem+json")
_RETRY_SOON: Header = (b"retry-after", b"1")


class ApiProblemCode(StrEnum):
    """Why a request was refused."""

    INVALID_PARAMETER = "INVALID_PARAMETER"
    INVALID_BODY = "INVALID_BODY"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    TIMEOUT = "TIMEOUT"
    CONFLICT = "CONFLICT"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    BUSY = "BUSY"
    INTERNAL = "INTERNAL"


_STATUSES: dict[type[StagebookError], tuple[int, ApiProblemCode]] = {
    InvalidInputError: (400, ApiProblemCode.INVALID_PARAMETER),
    MalformedArnError: (400, ApiProblemCode.INVALID_PARAMETER),
    ResourceNotFoundError: (404, ApiProblemCode.NOT_FOUND),
    ConflictError: (409, ApiProblemCode.CONFLICT),
    ServiceQuotaExceededError: (402, ApiProblemCode.QUOTA_EXCEEDED),
    ServerBusyError: (503, ApiProblemCode.BUSY),
}


class ApiRefusedError(Exception):
    """A request breaks a rule of this API. `detail` is for people and contains no secret."""

    def __init__(self, *, status: int, code: ApiProblemCode, detail: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


class ApiProblem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error response."""

    status: int
    code: ApiProblemCode
    detail: str


def problem_response(error: Exception) -> HttpResponse | None:
    """Return the response to an error that the client caused; None for any other error."""
    match error:
        case ApiRefusedError():
            return _response(error.status, error.code, error.detail, error.headers)
        case StagebookError():
            known = (_STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in _STATUSES)
            status, code = next(known, (400, ApiProblemCode.INVALID_PARAMETER))
            return _response(status, code, str(error), (_RETRY_SOON,) if status == 503 else ())
        case _:
            return None


def internal_problem() -> HttpResponse:
    """Return the response to an unexpected error. Its cause is in the log only."""
    return _response(500, ApiProblemCode.INTERNAL, "the server failed; its log has the reason", ())


def _response(status: int, code: ApiProblemCode, detail: str, headers: tuple[Header, ...]) -> HttpResponse:
    problem = ApiProblem(status=status, code=code, detail=detail)
    return HttpResponse(status=status, headers=(_CONTENT_TYPE, *headers), body=msgspec.json.encode(problem))
