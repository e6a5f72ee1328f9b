"""One recording in the recorder process, from its start until its objects are stored or it has failed.

    frames of the tap -> ParticipantRecorder -> Upload -> store

It is reported as started when the store has accepted an object, and as ended when the store has all of them. It fails
if the bucket is missing or closed at the start, if the spool takes no more, if the video cannot be recorded, and if the
store does not have everything in time at the end. Whatever happens, what was recorded is completed as far as it got,
and what waits in the spool is uploaded later. The metadata say what is reported, also if the store was too late: then
they say that the end has failed.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.media.recording.participant_recorder import ParticipantRecorder, UnsupportedVideoError
from stagebook.media.recording.processes.upload_recovery import close_after_loss
from stagebook.media.recording.recording_metadata import RecordingStatus, metadata_name
from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
    RecordingStarted,
)
from stagebook.media.recording.recording_recovery import CRASH_MESSAGE
from stagebook.media.recording.thumbnails.thumbnail_writer import ThumbnailMaker
from stagebook.media.tap.tapped_frame import TappedFrame
from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.spool.upload import LASTING_FAULTS, Upload
from stagebook.storage.spool.upload_spool import UploadSpool

MESSAGES: Final = {
    StorageFault.BUCKET_NOT_FOUND: "S3 bucket not found. Please verify your bucket exists.",
    StorageFault.ACCESS_DENIED: "Access denied to S3 bucket. Please verify your bucket policy.",
    StorageFault.UNAVAILABLE: CRASH_MESSAGE,
}
"""The reasons of failures, for the metadata: those that AWS documents (user guide, "Using Amazon EventBridge")."""

_log = structlog.get_logger(__name__)


class RecordingRun:
    """One recording. `report` is called with its facts."""

    def __init__(
        self,
        request: RecordingRequest,
        *,
        spool: UploadSpool,
        upload: Upload,
        request_keyframe: Callable[[], None],
        now_ms: Callable[[], int],
        report: Callable[[RecordingFact], None],
        end_timeout_seconds: float,
        make_thumbnail: ThumbnailMaker | None = None,
    ) -> None:
        self.recording_id = request.recording_id
        self._bucket_name = request.bucket_name
        self._spool = spool
        self._upload = upload
        self._report = report
        self._end_timeout_seconds = end_timeout_seconds
        self._has_started = False
        self._is_over = False
        self._ending: asyncio.Task[None] | None = None
        self._recorder = ParticipantRecorder(
            request=request,
            objects=upload,
            journal=upload.append_journal,
            request_keyframe=request_keyframe,
            now_ms=now_ms,
            make_thumbnail=make_thumbnail,
        )
        upload.on_fault = self.fail
        # It would say that the recording is complete.
        upload.on_lost = lambda: upload.withdraw(metadata_name(RecordingStatus.ENDED))
        self._now_ms = now_ms
        self._check = asyncio.create_task(self._check_bucket())

    @property
    def is_over(self) -> bool:
        """Whether it takes no more frames."""
        return self._is_over

    def receive(self, frame: TappedFrame) -> None:
        """Record a frame."""
        if self._upload.fault is not None:
            self.fail(self._upload.fault)
        if self._is_over:
            return
        try:
            self._recorder.receive(frame)
        except UnsupportedVideoError as error:
            self._is_over = True
            duration_ms = error.duration_ms
            self._begin_end(lambda: duration_ms, failure=None, has_failed=True)
        except Exception:  # noqa: BLE001 - an error with one recording must not end the others
            self._note_error()

    def tick(self) -> None:
        """Do what is due; called about every second."""
        if self._is_over:
            return
        if not self._has_started:
            if self._upload.has_stored:
                self._report_started()
            elif self._upload.last_fault in LASTING_FAULTS and self._upload.last_fault is not None:
                self.fail(self._upload.last_fault)
                return
        try:
            self._recorder.tick()
        except Exception:  # noqa: BLE001 - as in `receive`
            self._note_error()

    def fill_until(self, source_us: int) -> None:
        """As ParticipantRecorder.fill_until."""
        if not self._is_over:
            try:
                self._recorder.fill_until(source_us)
            except Exception:  # noqa: BLE001 - as in `receive`
                self._note_error()

    def end_part(self) -> None:
        """As RecordingEngine.end_part."""
        if not self._is_over:
            try:
                self._recorder.end_part()
            except Exception:  # noqa: BLE001 - as in `receive`
                self._note_error()

    def end(self) -> None:
        """As RecordingEngine.end_recording."""
        if not self._is_over:
            self._is_over = True
            self._begin_end(self._recorder.end, failure=None, has_failed=False)

    def fail(self, fault: StorageFault) -> None:
        """End it with a failure."""
        if not self._is_over:
            self._is_over = True
            self._begin_end(lambda: self._recorder.fail(MESSAGES[fault]), failure=fault, has_failed=True)

    async def finished(self) -> None:
        """Wait until its last fact is reported."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def shorten(self, *, timeout_seconds: float) -> None:
        """Let its end wait no longer for the store than this."""
        self._end_timeout_seconds = min(self._end_timeout_seconds, timeout_seconds)

    def _begin_end(self, complete: Callable[[], int], *, failure: StorageFault | None, has_failed: bool) -> None:
        self._check.cancel()
        duration_ms = 0
        try:
            # The last objects are put also if the spool takes no others.
            with self._upload.last_objects():
                duration_ms = complete()
        except Exception:  # noqa: BLE001 - as in `receive`
            _log.exception("a recording could not be completed", recording=self.recording_id)
            failure, has_failed = StorageFault.UNAVAILABLE, True
        self._ending = asyncio.create_task(self._end(duration_ms, failure=failure, has_failed=has_failed))

    async def _end(self, duration_ms: int, *, failure: StorageFault | None, has_failed: bool) -> None:
        if not has_failed:
            try:
                await self._upload.drain(timeout_seconds=self._end_timeout_seconds)
            except StorageError as error:
                failure, has_failed = error.fault, True
                self._note_incomplete(error.fault, error.detail)
            else:
                if self._upload.has_lost_object:
                    failure, has_failed = StorageFault.UNAVAILABLE, True
                    self._note_incomplete(failure, "the disk has lost an object")
        if has_failed:
            closed_ms = await close_after_loss(self._upload, ended_ms=self._now_ms())
            duration_ms = duration_ms if closed_ms is None else closed_ms
        if has_failed:
            self._report(RecordingFailed(recording_id=self.recording_id, fault=failure, duration_ms=duration_ms))
        else:
            self._report_started()
            self._report(RecordingEnded(recording_id=self.recording_id, duration_ms=duration_ms))
        # Until the server says that the outcome is durable, the journal tells it again.
        self._spool.leave(self._upload, is_settled=False)

    def _note_incomplete(self, fault: StorageFault, detail: str) -> None:
        """The store does not have all of a recording that has ended."""
        self._upload.withdraw(metadata_name(RecordingStatus.ENDED))
        with self._upload.last_objects():
            self._recorder.fail_upload(MESSAGES[fault])
        _log.error("the store does not have all of a recording", recording=self.recording_id, detail=detail)

    def _report_started(self) -> None:
        if not self._has_started:
            self._has_started = True
            self._report(RecordingStarted(recording_id=self.recording_id))

    def _note_error(self) -> None:
        _log.exception("a recording failed", recording=self.recording_id)
        self.fail(StorageFault.UNAVAILABLE)

    async def _check_bucket(self) -> None:
        """Fail at once if the bucket is missing or closed; other failures may pass."""
        try:
            await self._spool.store.check_bucket(self._bucket_name)
        except StorageError as error:
            if error.fault in LASTING_FAULTS:
                _log.error("a recording cannot start", recording=self.recording_id, detail=error.detail)
                self.fail(error.fault)
