"""Why a signature was refused. Each API has its own response to it."""

from enum import StrEnum


class SignatureRefusal(StrEnum):
    """The refusals, by the names of the errors of AWS."""

    MISSING_AUTHENTICATION_TOKEN = "MissingAuthenticationTokenException"  # noqa: S105 - the name of an error
    INCOMPLETE_SIGNATURE = "IncompleteSignatureException"
    UNRECOGNIZED_CLIENT = "UnrecognizedClientException"
    INVALID_SIGNATURE = "InvalidSignatureException"


class SignatureRefusedError(Exception):
    """A request is not signed as it must be. `message` is shown to the caller and holds no secret."""

    def __init__(self, refusal: SignatureRefusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.message = message
