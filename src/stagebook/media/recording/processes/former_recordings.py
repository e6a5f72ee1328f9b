"""The recordings of a recorder process that is gone, as their journals in the spool say.

The next process deletes a journal once the store has what it names. So what an earlier run of the server has left is
noted before that process starts. Reading needs 20 modules that no other start of a server needs: they are imported when
something is read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from stagebook.media.recording.processes.recorder_messages import upload_name
from stagebook.media.recording.recording_port import RecordingEnded, RecordingFailed
from stagebook.storage.object_store import StorageFault

if TYPE_CHECKING:
    from stagebook.media.recording.recorded_outcome import RecordedOutcome

_log = structlog.get_logger(__name__)


class FormerRecordings:
    """What the journals in a spool say."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._noted: Mapping[str, RecordedOutcome] | None = None
        """What an earlier run has recorded, by the names of uploads. None: it is read when it is asked for."""

    async def note(self) -> None:
        """Read what an earlier run has recorded, for `outcomes` to answer later: the next process deletes it meanwhile.

        A process of the earlier run that has not exited yet is waited for.
        """
        self._noted = await asyncio.to_thread(self._read_all)

    async def outcomes(self, recording_ids: Sequence[str]) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """Return how recordings of an earlier run have ended. Those without a journal are left out."""
        return await asyncio.to_thread(self._read_outcomes, recording_ids) if recording_ids else {}

    def read(self, recording_id: str) -> RecordingEnded | RecordingFailed | None:
        """Return how a recording has ended whose process was lost; None if it has no journal. Blocks."""
        from stagebook.media.recording.recorded_outcome import read_outcome

        outcome = read_outcome(self._spool / upload_name(recording_id))
        return None if outcome is None else _fact(recording_id, outcome)

    def _read_outcomes(self, recording_ids: Sequence[str]) -> dict[str, RecordingEnded | RecordingFailed]:
        if self._noted is None:
            self._wait_for_earlier_process()
            read = {recording_id: self.read(recording_id) for recording_id in recording_ids}
            return {recording_id: outcome for recording_id, outcome in read.items() if outcome is not None}
        noted = {recording_id: self._noted.get(upload_name(recording_id)) for recording_id in recording_ids}
        return {each: _fact(each, outcome) for each, outcome in noted.items() if outcome is not None}

    def _read_all(self) -> "dict[str, RecordedOutcome]":
        if not self._spool.is_dir():
            return {}
        from stagebook.media.recording.recorded_outcome import read_outcome

        self._wait_for_earlier_process()
        read = ((path.name, read_outcome(path)) for path in self._spool.iterdir() if path.is_dir())
        return {name: outcome for name, outcome in read if outcome is not None}

    def _wait_for_earlier_process(self) -> None:
        from stagebook.storage.spool.spool_lock import wait_for_spool
        from stagebook.storage.spool.upload_spool import LOCK_SECONDS

        if not wait_for_spool(self._spool, timeout_seconds=LOCK_SECONDS):
            _log.error("the recorder of an earlier server has not exited: what it records now is not in the book")


def lost_recording(recording_id: str, *, duration_ms: int = 0) -> RecordingFailed:
    """Return the outcome of a recording whose process was lost."""
    return RecordingFailed(recording_id=recording_id, fault=StorageFault.UNAVAILABLE, duration_ms=duration_ms)


def _fact(recording_id: str, outcome: "RecordedOutcome") -> RecordingEnded | RecordingFailed:
    if outcome.is_complete:
        return RecordingEnded(recording_id=recording_id, duration_ms=outcome.duration_ms)
    return lost_recording(recording_id, duration_ms=outcome.duration_ms)
