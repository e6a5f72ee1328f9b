"""The error responses of this API: the HTTP status of every domain error, and the JSON body.

The body is `{"code": "...", "message": "..."}`: a constant for programs and a sentence for people. It never holds a
token. `web_sdk_problems` translates it for clients that understand numbers only.
"""

from enum import StrEnum

import msgspec

from stagebook.api.asgi import Header
from stagebook.stage.errors import (
    AttemptRefusedError,
    ConnectionNotFoundError,
    ExchangeRefusedError,
    IceSessionMismatchError,
    LayerNotFoundError,
    OfferMalformedError,
    ResourceNotFoundError,
    ServerBusyError,
    StagebookError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode

# RFC 6750 section 3: a 401 names the scheme, and the error only when a token was sent.
INVALID_TOKEN: Header = (b"www-authenticate", b'Bearer realm="stagebook", error="invalid_token"')
NO_TOKEN: Header = (b"www-authenticate", b'Bearer realm="stagebook"')
RETRY_SOON: Header = (b"retry-after", b"1")


class RequestRefusalCode(StrEnum):
    """Why this API refused a request by itself, as the body names it."""

    NO_TOKEN = "NO_TOKEN"  # noqa: S105 - a reason's name, not a secret
    PARTICIPANT_MISMATCH = "PARTICIPANT_MISMATCH"
    MALFORMED_SDP = "MALFORMED_SDP"
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    TOO_LARGE = "TOO_LARGE"
    TIMEOUT = "TIMEOUT"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    TOO_MANY_STAGES = "TOO_MANY_STAGES"
    ICE_SESSION_MISMATCH = "ICE_SESSION_MISMATCH"
    IF_MATCH_REQUIRED = "IF_MATCH_REQUIRED"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_FOUND = "NOT_FOUND"
    UPGRADE = "UPGRADE"


TOKEN_STATUSES: dict[TokenRefusal, int] = {
    TokenRefusal.MALFORMED: 401,
    TokenRefusal.SIGNATURE: 401,
    TokenRefusal.EXPIRED: 401,
    TokenRefusal.STAGE_MISMATCH: 403,
    TokenRefusal.STAGE_DELETED: 404,
    TokenRefusal.PARTICIPANT_DISCONNECTED: 403,
    TokenRefusal.JTI_IN_USE: 409,
    TokenRefusal.PARTICIPANT_REPLICATED: 409,
    TokenRefusal.CONNECTION_TOKEN: 403,
}

ATTEMPT_STATUSES: dict[ErrorCode, int] = {
    ErrorCode.INSUFFICIENT_CAPABILITIES: 403,
    ErrorCode.QUOTA_EXCEEDED: 409,
    ErrorCode.PUBLISHER_NOT_FOUND: 404,
    ErrorCode.INVALID_AUDIO_CODEC: 406,
    ErrorCode.INVALID_VIDEO_CODEC: 406,
    ErrorCode.INTERNAL_SERVER_EXCEPTION: 500,
}
"""The statuses of refused attempts to join, publish or subscribe. Any other code has 400."""

OTHER_STATUSES: dict[type[StagebookError], tuple[int, str]] = {
    OfferMalformedError: (400, "MALFORMED_SDP"),
    ConnectionNotFoundError: (404, "NO_SUCH_CONNECTION"),
    LayerNotFoundError: (404, "NO_SUCH_LAYER"),
    ExchangeRefusedError: (409, "TOKEN_NOT_EXCHANGEABLE"),
    ResourceNotFoundError: (404, "NOT_FOUND"),
    IceSessionMismatchError: (412, "ICE_SESSION_MISMATCH"),
    ServerBusyError: (503, "BUSY"),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error response: its status, the members of its body, and further header fields.

    With `number`, the member `code` of the body is that number, and the member `name` is `code`.
    """

    status: int
    code: str
    message: str
    number: int | None = None
    headers: tuple[Header, ...] = ()

    def body(self) -> bytes:
        """Return the body as JSON."""
        if self.number is None:
            return msgspec.json.encode({"code": self.code, "message": self.message})
        return msgspec.json.encode({"code": self.number, "name": self.code, "message": self.message})


class RequestRefusedError(Exception):
    """A request breaks a rule of this API itself, before the stage manager was called."""

    def __init__(
        self, *, status: int, code: RequestRefusalCode, message: str, headers: tuple[Header, ...] = ()
    ) -> None:
        super().__init__(message)
        self.problem = Problem(status=status, code=code.value, message=message, headers=headers)


INTERNAL = Problem(status=500, code="INTERNAL", message="the server failed; its log has the reason")


def problem_of(error: StagebookError | RequestRefusedError) -> Problem:
    """Return the response to an error that the client caused. An unknown kind of error is a 400 `REFUSED`."""
    match error:
        case RequestRefusedError():
            return error.problem
        case TokenRefusedError():
            status = TOKEN_STATUSES[error.refusal]
            headers = (INVALID_TOKEN,) if status == 401 else ()
            return Problem(status=status, code=f"TOKEN_{error.refusal.name}", message=str(error), headers=headers)
        case AttemptRefusedError():
            return Problem(status=ATTEMPT_STATUSES.get(error.code, 400), code=error.code.value, message=str(error))
    known = (OTHER_STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in OTHER_STATUSES)
    status, code = next(known, (400, "REFUSED"))
    headers = (RETRY_SOON,) if status == 503 else ()
    return Problem(status=status, code=code, message=str(error), headers=headers)
