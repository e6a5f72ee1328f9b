"""The recorder process: all recordings of a server. `recorder_worker` starts it.

    python -m stagebook.media.recording.processes.recorder_process <file descriptor of the control socket>

Its working directory is the folder of recordings, where it has its spool. At its start it completes what an earlier
process has left there. It exits when the server sends Stop or closes the control socket.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Final

import structlog

from stagebook.media.recording.processes.recorder_messages import (
    SPOOL_NAME,
    AcceptTapRequest,
    EndPartCommand,
    EndRecordingCommand,
    FailCommand,
    RecordCommand,
    RecorderCommand,
    RecorderMeasured,
    RecorderRunning,
    RecordingReported,
    SettleCommand,
    StartRecorder,
    TapLost,
    receive_command,
    upload_name,
)
from stagebook.media.recording.processes.recorder_statistics import STATISTICS_INTERVAL_SECONDS, RecorderStatistics
from stagebook.media.recording.processes.recording_run import RecordingRun
from stagebook.media.recording.processes.recording_taps import RecordingTaps
from stagebook.media.recording.processes.upload_recovery import recover_uploads
from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
)
from stagebook.media.recording.thumbnails.thumbnail_thread import ThumbnailThread
from stagebook.media.tap.tap_receiver import TapReceiver
from stagebook.media.tap.tapped_frame import TappedFrame
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import KeptRights
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main
from stagebook.storage.object_store import StorageFault
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload_spool import UploadSpool
from stagebook.storage.stores import open_store

MAX_FILE_BYTES: Final = 1 << 30
TICK_SECONDS: Final = 1.0
TAP_BATCH_SECONDS: Final = 0.2
"""Media may come late: a segment takes seconds. Each batch wakes up this process, with cold caches."""

_log = structlog.get_logger(__name__)


class _Recordings:
    """Carries out the server's commands (`worker_main.Worker`), and records what the taps hand on."""

    def __init__(self, command: StartRecorder, reports: ReportWriter, is_server_lost: Callable[[], bool]) -> None:
        self._is_server_lost = is_server_lost
        self._settings = command.settings
        self._tap_directory = command.tap_directory
        self._unsettled = command.unsettled
        self._reports = reports
        store = open_store(command.settings.storage)
        self._spool = UploadSpool(
            Path(SPOOL_NAME),
            store,
            max_bytes=command.settings.spool_bytes,
            max_left_seconds=command.settings.max_left_seconds,
        )
        self._receiver = TapReceiver(
            clock=asyncio.get_running_loop().time, randomness=SystemRandom(), batch_seconds=TAP_BATCH_SECONDS
        )
        self._taps = RecordingTaps(self._receiver, recordings=self, reply=reports.send)
        self._thumbnails = ThumbnailThread()
        self._runs: dict[str, RecordingRun] = {}
        self._ticks: asyncio.Task[None] | None = None
        self._measurements: asyncio.Task[None] | None = None

    async def start(self) -> RecorderRunning:
        """Record from now on, and complete what was left. Raises OSError."""
        await self._receiver.start(self._tap_directory)
        await self._spool.lock()
        unsettled = frozenset(map(upload_name, self._unsettled))
        await recover_uploads(self._spool, ended_ms=_now_ms(), unsettled=unsettled)
        self._ticks = asyncio.create_task(self._tick_regularly())
        self._measurements = asyncio.create_task(self._report_statistics())
        return RecorderRunning()

    async def stop(self) -> None:
        """End all recordings with what their engines have received, and upload what the store takes in time.

        If the server is lost, its recordings have failed: they stay as they are, and the next process completes them.
        """
        for task in (self._ticks, self._measurements):
            if task is not None:
                task.cancel()
        runs = [] if self._is_server_lost() else list(self._runs.values())
        for run in runs:
            run.shorten(timeout_seconds=self._settings.stop_timeout_seconds)
            self._taps.finish(run.recording_id, run.end)
        await self._taps.drained()
        await self._receiver.stop()
        if runs:
            endings = [asyncio.create_task(run.finished()) for run in runs]
            await asyncio.wait(endings, timeout=self._settings.stop_timeout_seconds)
        self._thumbnails.stop()
        await self._spool.stop()

    def handle(self, command: RecorderCommand) -> None:
        """Carry out a command, and reply to it if it is a request."""
        match command:
            case RecordCommand():
                self._record(command.request)
            case AcceptTapRequest():
                self._taps.accept(command)
            case FailCommand():
                self._fail(command)
            case EndPartCommand():
                if run := self._runs.get(command.recording_id):
                    self._taps.finish(command.recording_id, run.end_part)
            case EndRecordingCommand():
                if run := self._runs.get(command.recording_id):
                    self._taps.finish(command.recording_id, run.end)
            case SettleCommand():
                self._spool.settle(upload_name(command.recording_id))

    # TappedRecordings

    def takes_media(self, recording_id: str) -> bool:
        """As TappedRecordings.takes_media."""
        run = self._runs.get(recording_id)
        return run is not None and not run.is_over

    def record(self, recording_id: str, frame: TappedFrame) -> None:
        """As TappedRecordings.record."""
        self._runs[recording_id].receive(frame)

    def fill_until(self, recording_id: str, source_us: int) -> None:
        """As TappedRecordings.fill_until."""
        self._runs[recording_id].fill_until(source_us)

    def tap_lost(self, recording_id: str) -> None:
        """As TappedRecordings.tap_lost. The server opens another one if the source goes on."""
        self._reports.send(TapLost(recording_id=recording_id))

    def _record(self, request: RecordingRequest) -> None:
        recording_id = request.recording_id
        target = UploadTarget(bucket_name=request.bucket_name, prefix=request.prefix)
        upload = self._spool.open(upload_name(recording_id), target)
        self._runs[recording_id] = RecordingRun(
            request,
            spool=self._spool,
            upload=upload,
            request_keyframe=lambda: self._taps.request_keyframe(recording_id),
            now_ms=_now_ms,
            report=self._report,
            end_timeout_seconds=self._settings.end_timeout_seconds,
            make_thumbnail=self._thumbnails.maker,
        )

    def _fail(self, command: FailCommand) -> None:
        self._taps.close(command.recording_id)
        if run := self._runs.get(command.recording_id):
            _log.error("a recording has no source", recording=command.recording_id, detail=command.detail)
            run.fail(StorageFault.UNAVAILABLE)

    def _report(self, fact: RecordingFact) -> None:
        self._reports.send(RecordingReported(recorded=fact))
        if isinstance(fact, RecordingEnded | RecordingFailed):
            self._taps.close(fact.recording_id)
            self._runs.pop(fact.recording_id, None)

    async def _tick_regularly(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for run in list(self._runs.values()):
                run.tick()
            self._spool.keep_left_bound()

    async def _report_statistics(self) -> None:
        while True:
            await asyncio.sleep(STATISTICS_INTERVAL_SECONDS)
            statistics = RecorderStatistics(
                cpu_seconds=time.process_time(),
                waiting_bytes=self._spool.waiting_bytes,
                failed_attempts=self._spool.failed_attempts,
                left_uploads=self._spool.left_uploads,
                oldest_left_seconds=self._spool.oldest_left_seconds,
                abandoned_uploads=self._spool.abandoned_uploads,
            )
            self._reports.send_measurement(RecorderMeasured(statistics=statistics))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def serve(control_socket: socket.socket) -> int:
    """Record until Stop, or until the server closes the control socket. Returns the exit code."""
    lost = asyncio.Event()

    async def receive(reader: asyncio.StreamReader) -> RecorderCommand:
        try:
            return await receive_command(reader)
        except BrokenStreamError:
            lost.set()
            raise

    def make_worker(command: RecorderCommand, reports: ReportWriter) -> _Recordings | None:
        return _Recordings(command, reports, lost.is_set) if isinstance(command, StartRecorder) else None

    return await run_worker(control_socket, receive, make_worker)


if __name__ == "__main__":
    rights = KeptRights(max_file_bytes=MAX_FILE_BYTES, starts_threads=True)
    sys.exit(worker_main(serve, late_modules=("stagebook.storage.s3_store",), kept_rights=rights))
