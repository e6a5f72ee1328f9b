"""How the recording of a participant or an encoder without media fails, with each documented error code.

The user guide ("Using Amazon EventBridge with IVS Real-Time Streaming") has four failures at the start of a recording,
and three at its end.
"""

from enum import StrEnum
from typing import Protocol

from stagebook.api.testing.participants.peer_services import PeerServices, conflict
from stagebook.stage.events import RecordingErrorCode
from stagebook.storage.object_store import StorageFault

_FAULTS: dict[RecordingErrorCode, StorageFault | None] = {
    RecordingErrorCode.RESOURCE_NOT_FOUND: StorageFault.BUCKET_NOT_FOUND,
    RecordingErrorCode.ACCESS_DENIED: StorageFault.ACCESS_DENIED,
    RecordingErrorCode.INTERNAL_SERVER: StorageFault.UNAVAILABLE,
    RecordingErrorCode.VALIDATION: None,
}


class FailurePoint(StrEnum):
    """When a recording fails."""

    START = "start"
    END = "end"


class RecordedPublisher(Protocol):
    """A participant or an encoder that publishes."""

    services: PeerServices

    @property
    def is_publishing(self) -> bool:
        """Whether its publication is open."""

    async def publish(self) -> None:
        """Publish."""


async def fail_recording(
    publisher: RecordedPublisher,
    code: RecordingErrorCode,
    at: FailurePoint | None,
    *,
    stage_arn: str,
    participant_id: str,
) -> None:
    """Let a recording of this participant fail: one that runs at its end, or else the next one at its start.

    What needs a publication starts one. Raises ApiRefusedError 409 for what cannot happen.
    """
    recorder, fault = publisher.services.recorder, _FAULTS[code]
    if at is None:
        at = FailurePoint.END if recorder.records(stage_arn, participant_id) else FailurePoint.START
    if at is FailurePoint.START:
        if publisher.is_publishing:
            raise conflict(f"{code.value}: a recording starts when its participant publishes: unpublish first")
        with recorder.failing_start(stage_arn, participant_id, fault):
            await publisher.publish()
            await publisher.services.settled()
        return
    if fault is None:
        raise conflict(f"{code.value}: no recording ends with it: use at: start")
    if not publisher.is_publishing:
        await publisher.publish()
        await publisher.services.settled()
    recorder.fail_running(stage_arn, participant_id, fault)
