"""The events of a composition: their names, error codes, causes and members.

Source: user guide, "Using Amazon EventBridge with IVS Real-Time Streaming", IVS Composition State Change. The names are
Stagebook's, since no shape of the model has them. ListParticipantEvents never shows them. The composition, the time and
the sequence number are not members of `CompositionEvent`: the book stores them as the key of the row.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class CompositionEventName(StrEnum):
    """The names. The order of this list is the code an event is stored under: append only."""

    COMPOSITION_STARTED = "COMPOSITION_STARTED"
    COMPOSITION_ENDED = "COMPOSITION_ENDED"
    COMPOSITION_FAILED = "COMPOSITION_FAILED"
    COMPOSITION_DESTINATION_STARTED = "COMPOSITION_DESTINATION_STARTED"
    COMPOSITION_DESTINATION_ENDED = "COMPOSITION_DESTINATION_ENDED"
    COMPOSITION_DESTINATION_RECONNECTING = "COMPOSITION_DESTINATION_RECONNECTING"
    COMPOSITION_DESTINATION_FAILED = "COMPOSITION_DESTINATION_FAILED"


class CompositionErrorCode(StrEnum):
    """The documented error codes. The order of this list is the code one is stored under: append only."""

    STAGE_DELETED = "StageDeleted"
    DESTINATION_FAILURE = "DestinationFailure"
    INTERNAL_SERVER_EXCEPTION = "InternalServerException"
    RESOURCE_NOT_FOUND_EXCEPTION = "ResourceNotFoundException"
    ACCESS_DENIED_EXCEPTION = "AccessDeniedException"
    CONFLICT_EXCEPTION = "ConflictException"


COMPOSITION_REASONS: Mapping[CompositionErrorCode, str] = {
    CompositionErrorCode.STAGE_DELETED: "Stage has been deleted",
    CompositionErrorCode.DESTINATION_FAILURE: "One or more outputs failed",
    CompositionErrorCode.INTERNAL_SERVER_EXCEPTION: "Service internal error",
    CompositionErrorCode.RESOURCE_NOT_FOUND_EXCEPTION: "S3 bucket not found. Please verify your bucket exists.",
    CompositionErrorCode.ACCESS_DENIED_EXCEPTION: "Access denied to S3 bucket. Please verify your bucket policy.",
    CompositionErrorCode.CONFLICT_EXCEPTION: "Stream already exists",
}
"""The documented reason of each error code."""


class CompositionCause(StrEnum):
    """Why an event happened. No event of AWS has it. The order of this list is the code of a cause: append only."""

    STOPPED_BY_API = "stopped_by_api"
    NO_PUBLISHER = "no_publisher"
    STAGE_DELETED = "stage_deleted"
    DURATION = "duration"
    OUTPUT = "output"
    TIMEOUT = "timeout"
    ENGINE_LOST = "engine_lost"
    SHUTDOWN = "shutdown"
    CRASH_RECOVERY = "crash_recovery"


class CompositionEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of a composition. `destination_id` is set in COMPOSITION_DESTINATION_*, `error_code` in *_FAILED."""

    name: CompositionEventName
    destination_id: str | None = None
    error_code: CompositionErrorCode | None = None
    cause: CompositionCause | None = None

    @property
    def reason(self) -> str | None:
        """The documented text of the error code."""
        return None if self.error_code is None else COMPOSITION_REASONS[self.error_code]
