"""The recorder of a server with LiveKit: each recording fails at once.

A recording needs the packets of the source's engine (`media.tap`), and LiveKit does not provide them. Recordings are in
the state FAILED, with an event. AWS has no error code for this; the one of a server failure is the nearest.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from stagebook.media.recording.recording_port import FactListener, RecordingEnded, RecordingFailed, RecordingRequest
from stagebook.storage.object_store import StorageFault

_log = structlog.get_logger(__name__)


class UntappedRecorder:
    """Implements `RecordingEngine`."""

    def __init__(self) -> None:
        self._on_fact: FactListener = lambda _fact: None

    async def interrupted(
        self,
        recording_ids: Sequence[str],  # noqa: ARG002 - of the interface
    ) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """As RecordingEngine.interrupted: nothing was recorded."""
        return {}

    def listen(self, on_fact: FactListener) -> None:
        """As RecordingEngine.listen."""
        self._on_fact = on_fact

    def prepare(self) -> None:
        """As RecordingEngine.prepare: nothing."""

    def start_recording(self, request: RecordingRequest) -> None:
        """As RecordingEngine.start_recording: report that it has failed."""
        _log.warning("participants are not recorded with media_engine livekit", recording_id=request.recording_id)
        failed = RecordingFailed(recording_id=request.recording_id, fault=StorageFault.UNAVAILABLE, duration_ms=0)
        asyncio.get_running_loop().call_soon(lambda: self._on_fact(failed))

    def end_part(self, recording_id: str) -> None:
        """As RecordingEngine.end_part: nothing."""

    def end_recording(self, recording_id: str) -> None:
        """As RecordingEngine.end_recording: nothing, because every recording has failed before."""
