"""The server's end of the recorder process: sends commands to it, and receives its facts."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from stagebook.media.media_bus import FeedTicket
from stagebook.media.recording.processes.recorder_messages import (
    AcceptTapRequest,
    RecorderMeasured,
    RecorderRunning,
    RecorderSettings,
    RecordingReported,
    StartRecorder,
    TapAccepted,
    TapLost,
    receive_report,
)
from stagebook.media.recording.processes.recorder_statistics import NO_RECORDER_STATISTICS, RecorderStatistics
from stagebook.media.recording.recording_port import RecordingFact
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_messages import Report, Request
from stagebook.media.worker.worker_process import WorkerProcess
from stagebook.media.worker.worker_run import WorkerProgram, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts


class RecorderWorker(WorkerProcess):
    """The recorder process, restarted when it exits."""

    def __init__(
        self,
        settings: RecorderSettings,
        *,
        folder: Path,
        tap_directory: str,
        user: ProcessUser | None,
        on_recorded: Callable[[RecordingFact], None],
        on_tap_lost: Callable[[str], None],
        on_lost: Callable[[], None],
        unsettled: Callable[[], Sequence[str]],
        timeouts: WorkerTimeouts,
    ) -> None:
        """`folder` is that of recordings. `on_tap_lost` gets the id of a recording. `on_lost` is called when the
        process has exited without being asked to: its recordings are lost. `unsettled` returns those whose outcomes are
        not durable."""
        self._settings = settings
        self._tap_directory = tap_directory
        self._report_recorded = on_recorded
        self._report_tap_lost = on_tap_lost
        self._report_lost = on_lost
        self._unsettled = unsettled
        self._is_ready = asyncio.Event()
        self._last_request_id = 0
        self.starts = 0
        """How often the process has started."""
        self.statistics: RecorderStatistics = NO_RECORDER_STATISTICS
        """As last reported, with the totals of the runs before."""
        self._ended_runs = NO_RECORDER_STATISTICS
        """The totals of the runs that have ended."""
        program = WorkerProgram(
            name="recorder process",
            number=0,
            module="stagebook.media.recording.processes.recorder_process",
            receive=receive_report,
            # The credentials for S3 may be in the environment, as for the AWS SDKs.
            kept_variables=("AWS_", "SSL_CERT_"),
            folder=str(folder),
            user=user,
        )
        super().__init__(program, on_fact=lambda _fact: None, timeouts=timeouts)

    async def ready(self, *, timeout_seconds: float) -> bool:
        """Wait until the process runs. Returns False if it does not in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._is_ready.wait()
        except TimeoutError:
            return False
        return True

    async def accept_tap(self, recording_id: str, description: SourceDescription) -> FeedTicket:
        """Let the process receive a source for a recording. Raises MediaRefusedError."""
        self._last_request_id += 1
        request = AcceptTapRequest(
            request_id=self._last_request_id, connection_id=recording_id, description=description
        )
        return (await self.request(request, TapAccepted)).ticket

    def _start_command(self) -> StartRecorder:
        return StartRecorder(
            settings=self._settings, tap_directory=self._tap_directory, unsettled=tuple(self._unsettled())
        )

    def _on_started(self, report: Report) -> None:
        if not isinstance(report, RecorderRunning):
            raise WorkerStartError("the recorder process sent an unexpected report")
        self.starts += 1
        self._is_ready.set()

    def _start_failure(self, detail: str) -> str:
        return f"recordings cannot be made: {detail}"

    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        del unanswered
        self._is_ready.clear()
        # What waited is on disk, and the next process reports it.
        self.statistics = self._ended_runs = msgspec.structs.replace(self.statistics, waiting_bytes=0)
        self._report_lost()

    def _on_report(self, report: Report) -> None:
        match report:
            case RecordingReported():
                self._report_recorded(report.recorded)
            case TapLost():
                self._report_tap_lost(report.recording_id)
            case RecorderMeasured():
                self.statistics = report.statistics.continued_from(self._ended_runs)
