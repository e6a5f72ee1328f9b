"""The participant event: its names, error codes, causes and members.

Source: shapes Event, EventName, EventErrorCode and ExchangedParticipantToken of the `ivs-realtime` model. The
participant, the session, the time and the sequence number are not members of `Event`: the book stores them as the key
of the row.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class EventName(StrEnum):
    """The documented names, and those of recordings. The order is the code an event is stored under: append only."""

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
    RECORDING_STARTED = "RECORDING_STARTED"
    RECORDING_ENDED = "RECORDING_ENDED"
    RECORDING_START_FAILED = "RECORDING_START_FAILED"
    RECORDING_END_FAILED = "RECORDING_END_FAILED"


RECORDING_EVENT_NAMES = frozenset(name for name in EventName if name.value.startswith("RECORDING_"))
"""The events of individual participant recording, which AWS sends to EventBridge only (user guide, "Using Amazon
EventBridge with IVS Real-Time Streaming"). They are no members of shape EventName: ListParticipantEvents omits them."""
AWS_EVENT_NAMES = tuple(name for name in EventName if name not in RECORDING_EVENT_NAMES)
"""The names of shape EventName: all that ListParticipantEvents can return. They come first in `EventName`."""


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


class RecordingErrorCode(StrEnum):
    """The documented error codes of recordings (user guide, "Using Amazon EventBridge with IVS Real-Time")."""

    RESOURCE_NOT_FOUND = "ResourceNotFoundException"
    ACCESS_DENIED = "AccessDeniedException"
    VALIDATION = "ValidationException"
    INTERNAL_SERVER = "InternalServerException"


RECORDING_REASONS: Mapping[RecordingErrorCode, str] = {
    RecordingErrorCode.RESOURCE_NOT_FOUND: "S3 bucket not found. Please verify your bucket exists.",
    RecordingErrorCode.ACCESS_DENIED: "Access denied to S3 bucket. Please verify your bucket policy.",
    RecordingErrorCode.VALIDATION: "Video codec not supported for recording",
    RecordingErrorCode.INTERNAL_SERVER: "Service internal error",
}
"""The documented reason that belongs to each error code."""


class RecordingDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a recording is, and how it ended.

    `duration_ms` is set in RECORDING_ENDED, and in RECORDING_END_FAILED if it is known. `error_code` is set in the two
    failures.
    """

    bucket_name: str
    prefix: str
    duration_ms: int | None = None
    error_code: RecordingErrorCode | None = None

    @property
    def reason(self) -> str | None:
        """The documented text for the error code."""
        return None if self.error_code is None else RECORDING_REASONS[self.error_code]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of one participant, as the domain emits it.

    `replica` describes the remote participant in SUBSCRIBE_* events, and the participant itself in all others (shape
    Event). `error_code` is set in *_ERROR events, `destination` in REPLICATION_* events, `exchange` in TOKEN_EXCHANGED,
    `recording` in RECORDING_* events. `cause` and `detail` are Stagebook's own members.
    """

    name: EventName
    remote_participant_id: str | None = None
    error_code: ErrorCode | None = None
    replica: bool = False
    destination: ReplicationDestination | None = None
    exchange: TokenExchange | None = None
    recording: RecordingDetails | None = None
    cause: Cause | None = None
    detail: str | None = None
