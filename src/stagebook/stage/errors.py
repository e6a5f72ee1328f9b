"""The errors of the domain. Each API has one table that maps them to its own responses.

Two kinds of refusal differ in what is recorded. AttemptRefusedError stands for a refusal that is in the book as a
JOIN_ERROR, PUBLISH_ERROR or SUBSCRIBE_ERROR event. All others have no event, because no participant was identified, or
because the request failed before it became an attempt.
"""

from enum import StrEnum

from stagebook.stage.events import ErrorCode


class StagebookError(Exception):
    """Base of every error that a caller can cause. The message may be sent to the caller: it contains no secret."""


class InvalidInputError(StagebookError):
    """An input breaks a rule that the service model does not state.

    `member` is the name of the input member as the API spells it, and `rule` the rule that it breaks.
    """

    def __init__(self, *, member: str, rule: str) -> None:
        super().__init__(f"{member}: {rule}")
        self.member = member
        self.rule = rule


class MalformedArnError(StagebookError):
    """A string is not an ARN of this service."""

    def __init__(self, *, text: str) -> None:
        super().__init__(f"not an ARN of this service: {text}")


class ResourceNotFoundError(StagebookError):
    """A resource that the caller named does not exist."""

    def __init__(self, *, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} does not exist")


class ConflictError(StagebookError):
    """The change would leave a resource in an inconsistent state."""


class ServiceQuotaExceededError(StagebookError):
    """The caller's account has reached a quota. `quota` names what is counted, `maximum` is its value."""

    def __init__(self, *, quota: str, maximum: int) -> None:
        super().__init__(f"{quota} is at its quota of {maximum}")


class TokenRefusal(StrEnum):
    """Why a participant token was refused."""

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
    """A participant token was refused. No event is recorded.

    Shape EventErrorCode has no code for an invalid token, and a token with an invalid signature identifies no
    participant.
    """

    def __init__(self, *, refusal: TokenRefusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal


class AttemptRefusedError(StagebookError):
    """An identified participant's attempt to join, publish or subscribe was refused and recorded as an event."""

    def __init__(self, *, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class StreamKeyUnknownError(StagebookError):
    """A stream key does not identify a participant of a stage, so no event can be recorded."""

    def __init__(self) -> None:
        super().__init__("the stream key is unknown, or its ingest configuration is attached to no stage")


class ExchangeRefusedError(StagebookError):
    """The new token of a token exchange is not acceptable. No event is recorded; the current token stays in use."""


class ConnectionNotFoundError(StagebookError):
    """No connection of that id is open for this participant."""

    def __init__(self) -> None:
        super().__init__("no such connection")


class LayerNotFoundError(StagebookError):
    """A viewer chose a simulcast layer that the publisher does not have."""

    def __init__(self) -> None:
        super().__init__("the publisher has no such layer")


class OfferMalformedError(StagebookError):
    """An SDP offer or fragment could not be parsed. No event is recorded: a malformed request is not an attempt."""


class IceSessionMismatchError(StagebookError):
    """The If-Match header of a PATCH does not match the ETag of the current ICE session (RFC 9725 section 4.3.1)."""

    def __init__(self) -> None:
        super().__init__("the If-Match ICE session is not the current one")


class ServerBusyError(StagebookError):
    """A limit that protects the server has been reached. No event is recorded; the caller may retry later."""
