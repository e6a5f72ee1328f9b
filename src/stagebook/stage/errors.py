"""The one family of domain errors. Doors turn them into answers by a table; nothing here knows a wire."""

from enum import StrEnum

from stagebook.stage.events import ErrorCode


class StagebookError(Exception):
    """Base of every error that a caller can cause. Its text is safe to show: it never holds a secret."""


class InvalidInputError(StagebookError):
    """An input breaks a rule that is not in the service model. Names the member and the rule."""

    def __init__(self, *, member: str, rule: str) -> None:
        super().__init__(f"{member}: {rule}")
        self.member = member
        self.rule = rule


class MalformedArnError(StagebookError):
    """A text is not an ARN of this service."""

    def __init__(self, *, text: str) -> None:
        super().__init__(f"not an ARN of this service: {text}")


class ResourceNotFoundError(StagebookError):
    """A resource that the caller named does not exist."""

    def __init__(self, *, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} does not exist")


class ConflictError(StagebookError):
    """The change would leave a resource in an inconsistent state."""


class ServiceQuotaExceededError(StagebookError):
    """The caller's account is at a quota."""

    def __init__(self, *, quota: str, maximum: int) -> None:
        super().__init__(f"{quota} is at its quota of {maximum}")


class TokenRefusal(StrEnum):
    """Why a participant token admits nobody."""

    MALFORMED = "malformed"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    STAGE_MISMATCH = "stage_mismatch"
    STAGE_DELETED = "stage_deleted"
    PARTICIPANT_DISCONNECTED = "participant_disconnected"
    JTI_IN_USE = "jti_in_use"
    PARTICIPANT_REPLICATED = "participant_replicated"
    CONNECTION_TOKEN = "connection_token"  # noqa: S105 - a reason's name, not a secret


class TokenRefusedError(StagebookError):
    """A participant token was refused. Makes no event."""

    def __init__(self, *, refusal: TokenRefusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal


class AttemptRefusedError(StagebookError):
    """An identified participant's attempt to join, publish or subscribe was refused and recorded as an event."""

    def __init__(self, *, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class StreamKeyUnknownError(StagebookError):
    """A stream key opens no stage: there is nobody whose attempt it could be. Makes no event."""

    def __init__(self) -> None:
        super().__init__("the stream key is unknown, or its ingest configuration is attached to no stage")


class ExchangeRefusedError(StagebookError):
    """A token cannot be exchanged for this other one. Makes no event: the participant keeps the token it has."""


class ConnectionNotFoundError(StagebookError):
    """No connection of that id is open for this participant."""

    def __init__(self) -> None:
        super().__init__("no such connection")


class OfferMalformedError(StagebookError):
    """An SDP offer or fragment cannot be understood. Makes no event: nothing was attempted."""


class IceSessionMismatchError(StagebookError):
    """A PATCH speaks of another ICE session than the current one (RFC 9725 section 4.3.1)."""

    def __init__(self) -> None:
        super().__init__("the If-Match ICE session is not the current one")


class ServerBusyError(StagebookError):
    """A bound that protects the server is reached; the caller may try again later."""
