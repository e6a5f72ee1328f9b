"""The participant event: its names, error codes, causes and members.

Source: shapes Event, EventName, EventErrorCode and ExchangedParticipantToken of the `ivs-realtime` model. The
participant, the session, the time and the sequence number are not members of `Event`: the book stores them as the key
of the row.
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
    """Why an event happened. Stored in the book, but not a member of the AWS shape, so ListParticipantEvents omits it.

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
    """The destination stage and session of REPLICATION_STARTED and REPLICATION_STOPPED."""

    stage_arn: str
    session_id: str


class ExchangedToken(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of one of the two tokens of TOKEN_EXCHANGED, without the token string, which is a secret."""

    capabilities: tuple[str, ...]
    attributes: dict[str, str]
    user_id: str
    expiration_ms: int


class TokenExchange(msgspec.Struct, frozen=True, kw_only=True):
    """The replaced token and the new token of TOKEN_EXCHANGED."""

    previous: ExchangedToken
    new: ExchangedToken


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of one participant, as the domain emits it.

    `replica` describes the remote participant in SUBSCRIBE_* events, and the participant itself in all others (shape
    Event). `error_code` is set in *_ERROR events, `destination` in REPLICATION_* events, `exchange` in TOKEN_EXCHANGED.
    `cause` and `detail` are Stagebook's own members.
    """

    name: EventName
    remote_participant_id: str | None = None
    error_code: ErrorCode | None = None
    replica: bool = False
    destination: ReplicationDestination | None = None
    exchange: TokenExchange | None = None
    cause: Cause | None = None
    detail: str | None = None
