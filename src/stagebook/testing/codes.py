"""The names of the twelve events, of the fourteen error codes, of recordings, compositions, and of the kinds of faults.

The first two are shapes EventName and EventErrorCode of the service model `ivs-realtime`. Those of recordings and
compositions are Stagebook's names for those that AWS sends to EventBridge, and their error codes are AWS's. `FaultKind`
is what the testing API can do to a call of the AWS API.
"""

from typing import Literal, TypeAlias, get_args

EventNameText: TypeAlias = Literal[
    "JOINED",
    "LEFT",
    "PUBLISH_STARTED",
    "PUBLISH_STOPPED",
    "SUBSCRIBE_STARTED",
    "SUBSCRIBE_STOPPED",
    "PUBLISH_ERROR",
    "SUBSCRIBE_ERROR",
    "JOIN_ERROR",
    "REPLICATION_STARTED",
    "REPLICATION_STOPPED",
    "TOKEN_EXCHANGED",
]
RecordingEventText: TypeAlias = Literal[
    "RECORDING_STARTED", "RECORDING_ENDED", "RECORDING_START_FAILED", "RECORDING_END_FAILED"
]
RecordingErrorText: TypeAlias = Literal[
    "ResourceNotFoundException", "AccessDeniedException", "ValidationException", "InternalServerException"
]
CompositionEventText: TypeAlias = Literal[
    "COMPOSITION_STARTED",
    "COMPOSITION_ENDED",
    "COMPOSITION_FAILED",
    "COMPOSITION_DESTINATION_STARTED",
    "COMPOSITION_DESTINATION_ENDED",
    "COMPOSITION_DESTINATION_RECONNECTING",
    "COMPOSITION_DESTINATION_FAILED",
]
DestinationErrorText: TypeAlias = Literal[
    "ResourceNotFoundException", "AccessDeniedException", "ConflictException", "InternalServerException"
]
SessionErrorText: TypeAlias = Literal["StageDeleted", "DestinationFailure", "InternalServerException"]
ErrorCodeText: TypeAlias = Literal[
    "INSUFFICIENT_CAPABILITIES",
    "QUOTA_EXCEEDED",
    "PUBLISHER_NOT_FOUND",
    "BITRATE_EXCEEDED",
    "RESOLUTION_EXCEEDED",
    "STREAM_DURATION_EXCEEDED",
    "INVALID_AUDIO_CODEC",
    "INVALID_VIDEO_CODEC",
    "INVALID_PROTOCOL",
    "INVALID_STREAM_KEY",
    "REUSE_OF_STREAM_KEY",
    "B_FRAME_PRESENT",
    "INVALID_INPUT",
    "INTERNAL_SERVER_EXCEPTION",
]
FaultKind: TypeAlias = Literal[
    "THROTTLING", "ACCESS_DENIED", "INTERNAL_ERROR", "SLOW", "CUT", "LOSE_ANSWER", "CUT_ANSWER"
]

EVENT_NAMES: tuple[EventNameText, ...] = get_args(EventNameText)
"""The twelve events, for parametrised tests."""

RECORDING_EVENTS: tuple[RecordingEventText, ...] = get_args(RecordingEventText)
"""The four events of recordings, which ListParticipantEvents does not have."""

RECORDING_ERRORS: tuple[RecordingErrorText, ...] = get_args(RecordingErrorText)
"""The four error codes of recordings, for parametrised tests."""

COMPOSITION_EVENTS: tuple[CompositionEventText, ...] = get_args(CompositionEventText)
"""The seven events of compositions, which ListParticipantEvents does not have."""

DESTINATION_ERRORS: tuple[DestinationErrorText, ...] = get_args(DestinationErrorText)
"""The four error codes of a destination of a composition, for parametrised tests."""

ERROR_CODES: tuple[ErrorCodeText, ...] = get_args(ErrorCodeText)
"""The fourteen error codes, for parametrised tests."""
