"""The participant event: its twelve names, its fourteen error codes, and what one says.

Source: shapes Event, EventName, EventErrorCode and ExchangedParticipantToken of the `ivs-realtime` model.
An event does not know its participant, session or sequence: the book adds those when it records it.
"""

from enum import StrEnum

import msgspec


class EventName(StrEnum):
    """The documented names. The order of this list is the code an event is stored under: append only."""

    JOINED = "JOINED"
    LEFT = "LEFT"
    PUBLISH_STARTED = "PUBLISH_STARTED"
    PUBLISH_STOPPED = "PUBLISH_STOPPED"
    SUBSCRIBE_STARTED = "SUBSCRIBE_STARTED"
    SUBSCRIBE_STOPPED = "SUBSCRIBE_STOPPED"
    PUBLISH_ERROR = "PUBLISH_ERROR"
    SUBSCRIBE_ERROR = "SUBSCRIBE_ERROR"
    JOIN_ERROR = "JOIN_ERROR"
    REPLICATION_STARTED = "REPLICATION_STARTED"
    REPLICATION_STOPPED = "REPLICATION_STOPPED"
    TOKEN_EXCHANGED = "TOKEN_EXCHANGED"  # noqa: S105 - an event's name, not a secret


class ErrorCode(StrEnum):
    """The documented error codes. The order of this list is the code one is stored under: append only."""

    INSUFFICIENT_CAPABILITIES = "INSUFFICIENT_CAPABILITIES"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    PUBLISHER_NOT_FOUND = "PUBLISHER_NOT_FOUND"
    BITRATE_EXCEEDED = "BITRATE_EXCEEDED"
    RESOLUTION_EXCEEDED = "RESOLUTION_EXCEEDED"
    STREAM_DURATION_EXCEEDED = "STREAM_DURATION_EXCEEDED"
    INVALID_AUDIO_CODEC = "INVALID_AUDIO_CODEC"
    INVALID_VIDEO_CODEC = "INVALID_VIDEO_CODEC"
    INVALID_PROTOCOL = "INVALID_PROTOCOL"
    INVALID_STREAM_KEY = "INVALID_STREAM_KEY"
    REUSE_OF_STREAM_KEY = "REUSE_OF_STREAM_KEY"
    B_FRAME_PRESENT = "B_FRAME_PRESENT"
    INVALID_INPUT = "INVALID_INPUT"
    INTERNAL_SERVER_EXCEPTION = "INTERNAL_SERVER_EXCEPTION"


class Cause(StrEnum):
    """Why an event happened. Kept in the book and shown by the watch door, never on the AWS wire.

    The order of this list is the code a cause is stored under: append only.
    """

    CLIENT = "client"
    PEER_LOST = "peer_lost"
    NEVER_CONNECTED = "never_connected"
    PUBLISHER_STOPPED = "publisher_stopped"
    DISCONNECTED_BY_API = "disconnected_by_api"
    STAGE_DELETED = "stage_deleted"
    LIMIT = "limit"
    REFUSED = "refused"
    ENGINE_LOST = "engine_lost"
    SHUTDOWN = "shutdown"
    CRASH_RECOVERY = "crash_recovery"
    REPLICATION_API = "replication_api"
    TOKEN_EXCHANGED = "token_exchanged"  # noqa: S105 - a cause's name, not a secret
    CONNECTION_TOKEN_REVOKED = "connection_token_revoked"  # noqa: S105 - same


class ReplicationDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Where REPLICATION_STARTED and REPLICATION_STOPPED lead."""

    stage_arn: str
    session_id: str


class ExchangedToken(msgspec.Struct, frozen=True, kw_only=True):
    """One side of TOKEN_EXCHANGED. It holds no token string: that would be a secret in the book."""

    capabilities: tuple[str, ...]
    attributes: dict[str, str]
    user_id: str
    expiration_ms: int


class TokenExchange(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of TOKEN_EXCHANGED."""

    previous: ExchangedToken
    new: ExchangedToken


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened to one participant, as the heart emits it.

    `replica` speaks of the remote participant on SUBSCRIBE_* events and of the participant itself on the others.
    """

    name: EventName
    remote_participant_id: str | None = None
    error_code: ErrorCode | None = None
    replica: bool = False
    destination: ReplicationDestination | None = None
    exchange: TokenExchange | None = None
    cause: Cause | None = None
    detail: str | None = None
