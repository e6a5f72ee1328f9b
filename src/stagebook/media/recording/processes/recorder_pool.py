"""The recorder process as the RecordingEngine of the server.

The process starts with the first recording, or at the start of the server if an earlier process has left something in
its spool. When it is lost, its recordings are over: what their journals say is reported (`recorded_outcome`), and the
next process completes what is on disk. A journal is kept until the outcome that it tells is durable.

A part begins with a tap of the source. A tap that is refused because an engine is busy, or that is lost, is opened
again for as long as the part goes on; a source that is gone has no tap, and the manager ends its part.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.recording.processes.former_recordings import FormerRecordings, lost_recording
from stagebook.media.recording.processes.recorder_messages import (
    SPOOL_NAME,
    EndPartCommand,
    EndRecordingCommand,
    FailCommand,
    RecordCommand,
    RecorderSettings,
    SettleCommand,
)
from stagebook.media.recording.processes.recorder_statistics import RecordingCounts
from stagebook.media.recording.processes.recorder_worker import RecorderWorker
from stagebook.media.recording.processes.recordings_folder import RecordingsFolder
from stagebook.media.recording.recording_port import (
    FactListener,
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
    RecordingStarted,
)
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from stagebook.storage.storage_settings import Storage

STOP_UPLOAD_SECONDS: Final = 10.0
"""How long a stop of the server waits for uploads. The rest is uploaded after the next start."""
READY_SECONDS: Final = 15.0
"""How long a recording waits for a process that is restarting."""
TAP_ATTEMPTS: Final = 5
TAP_DELAY_SECONDS: Final = 0.5

_log = structlog.get_logger(__name__)


class TapOpener(Protocol):
    """The part of `EnginePool` that a recorder needs."""

    async def open_tap(
        self,
        source_id: str,
        accept: Callable[[SourceDescription], Awaitable[FeedTicket]],
        *,
        feed_id: str | None = None,
    ) -> None:
        """As EnginePool.open_tap."""


class _KnownRecording(msgspec.Struct, kw_only=True):
    """A recording whose last fact is not reported yet."""

    source_id: str
    connection_id: str | None
    """The redundant stream that is recorded, as in the request."""
    part: int = 0
    """The number of parts that have begun or ended: a tap belongs to one of them."""
    has_part: bool = True
    is_known: bool = False
    """Whether the process has been told of it."""
    is_ending: bool = False
    tap: asyncio.Task[None] | None = None


class RecorderPool:
    """Implements RecordingEngine."""

    def __init__(
        self,
        engines: TapOpener,
        *,
        storage: Storage,
        folder: Path,
        spool_bytes: int,
        end_timeout_seconds: float,
        max_left_seconds: float = float("inf"),
        user: ProcessUser | None = None,
        timeouts: WorkerTimeouts = WorkerTimeouts(stop_seconds=STOP_UPLOAD_SECONDS + 5),  # noqa: B008 - frozen
    ) -> None:
        """`folder` is that of recordings, in which the spool is; it is made when it is needed. The process runs as
        `user`, or as this process's user. The path of `storage`, if it is a folder, is that of `folder`."""
        self._engines = engines
        self._folder = RecordingsFolder(folder, user=user)
        self._user = user
        self._timeouts = timeouts
        self._settings = RecorderSettings(
            storage=storage,
            spool_bytes=spool_bytes,
            end_timeout_seconds=end_timeout_seconds,
            stop_timeout_seconds=STOP_UPLOAD_SECONDS,
            max_left_seconds=max_left_seconds,
        )
        self._on_fact: FactListener = lambda _fact: None
        self._recordings: dict[str, _KnownRecording] = {}
        self.counts = RecordingCounts()
        self._former = FormerRecordings(folder / SPOOL_NAME)
        self._unsettled: dict[str, None] = {}
        """Recordings that were lost, or are over, whose outcomes are not durable yet."""
        self._reading: set[asyncio.Task[None]] = set()
        self._worker: RecorderWorker | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def process_id(self) -> int | None:
        """The process id of the recorder process; None while none runs."""
        return None if self._worker is None else self._worker.process_id

    @property
    def worker(self) -> RecorderWorker | None:
        """The recorder process; None before it is needed."""
        return self._worker

    @property
    def recording_count(self) -> int:
        """The number of recordings whose end is not reported yet."""
        return len(self._recordings)

    async def note_former(self) -> None:
        """As FormerRecordings.note. Call it before `start`."""
        await self._former.note()

    async def interrupted(self, recording_ids: Sequence[str]) -> Mapping[str, RecordingEnded | RecordingFailed]:
        """As RecordingEngine.interrupted. A process of the earlier run that has not exited yet is waited for."""
        return await self._former.outcomes(recording_ids)

    def listen(self, on_fact: FactListener) -> None:
        """As RecordingEngine.listen."""
        self._on_fact = on_fact

    async def start(self) -> None:
        """Start the process if an earlier run of the server has recorded: to complete what is left, and because its
        stages may record again."""
        if self._folder.path.is_dir():
            self._begin_start()

    def prepare(self) -> None:
        """As RecordingEngine.prepare."""
        if not self._is_stopping:
            self._begin_start()

    async def stop(self) -> None:
        """End all recordings, and stop the process. No facts are reported after this returns."""
        self._is_stopping = True
        for recording in self._recordings.values():
            if recording.tap is not None:
                recording.tap.cancel()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._worker is not None:
            await self._worker.stop()
        if self._reading:
            await asyncio.wait(self._reading)
        self._folder.close()

    def start_recording(self, request: RecordingRequest) -> None:
        """As RecordingEngine.start_recording."""
        recording = self._recordings.get(request.recording_id)
        if recording is None:
            recording = _KnownRecording(source_id=request.source_id, connection_id=request.connection_id)
            self._recordings[request.recording_id] = recording
        recording.source_id, recording.connection_id = request.source_id, request.connection_id
        self._open_tap(request.recording_id, recording, request)

    def end_part(self, recording_id: str) -> None:
        """As RecordingEngine.end_part."""
        recording = self._recordings.get(recording_id)
        if recording is None:
            return
        self._end_tap(recording)
        if recording.is_known and self._worker is not None:
            self._worker.send(EndPartCommand(recording_id=recording_id))

    def end_recording(self, recording_id: str) -> None:
        """As RecordingEngine.end_recording."""
        recording = self._recordings.get(recording_id)
        if recording is None or recording.is_ending:
            return
        recording.is_ending = True
        self._end_tap(recording)
        if recording.is_known and self._worker is not None:
            self._worker.send(EndRecordingCommand(recording_id=recording_id))
        else:
            # Nothing was recorded: its process has not started.
            self._report_soon(RecordingEnded(recording_id=recording_id, duration_ms=0))

    def _open_tap(self, recording_id: str, recording: _KnownRecording, request: RecordingRequest | None) -> None:
        self._end_tap(recording)
        recording.has_part = True
        recording.tap = asyncio.create_task(self._run_tap(recording_id, recording, request))

    @staticmethod
    def _end_tap(recording: _KnownRecording) -> None:
        recording.has_part = False
        if recording.tap is not None:
            recording.tap.cancel()
            recording.tap = None

    async def _run_tap(self, recording_id: str, recording: _KnownRecording, request: RecordingRequest | None) -> None:
        """Let the process record the source. The process is started, and told of the recording, if need be."""
        worker = await self._running_worker()
        if worker is None:
            self._report(lost_recording(recording_id))
            return
        if request is None:
            # After a delay, because a tap that ends as soon as it is open must not keep the engine busy.
            await asyncio.sleep(TAP_DELAY_SECONDS)
        elif not recording.is_known:
            recording.is_known = True
            worker.send(RecordCommand(request=request))
        for attempt in range(TAP_ATTEMPTS):
            try:
                await self._engines.open_tap(
                    recording.source_id,
                    lambda description: worker.accept_tap(recording_id, description),
                    feed_id=recording.connection_id,
                )
            except MediaRefusedError as refused:
                if refused.reason in {RefusalReason.UNKNOWN_SOURCE, RefusalReason.UNKNOWN_CONNECTION}:
                    return  # The source, the encoder or the recording has ended; the manager gets its report.
                _log.warning("a source cannot be tapped yet", recording=recording_id, detail=refused.detail)
                await asyncio.sleep(TAP_DELAY_SECONDS * 2**attempt)
            else:
                return
        worker.send(FailCommand(recording_id=recording_id, detail="the source could not be tapped"))

    async def _running_worker(self) -> RecorderWorker | None:
        """Return the process once it runs, None if it cannot be started."""
        starting = self._begin_start()
        await asyncio.wait([starting])
        if self._worker is None or not await self._worker.ready(timeout_seconds=READY_SECONDS):
            return None
        return self._worker

    def _begin_start(self) -> asyncio.Task[None]:
        if self._starting is None or (self._starting.done() and self._worker is None):
            self._starting = asyncio.create_task(self._start_worker())
        return self._starting

    async def _start_worker(self) -> None:
        try:
            tap_directory = self._folder.open_tap_directory()
            await self._folder.prepared()
            self._worker = RecorderWorker(
                self._settings,
                folder=self._folder.path,
                tap_directory=tap_directory,
                user=self._user,
                on_recorded=self._handle_recorded,
                on_tap_lost=self._handle_tap_lost,
                on_lost=self._handle_lost,
                unsettled=lambda: tuple(self._unsettled),
                timeouts=self._timeouts,
            )
            await self._worker.start()
        except (OSError, WorkerStartError) as error:
            self._worker = None
            _log.error("recordings fail: the recorder process cannot be started", detail=str(error))

    def _handle_recorded(self, fact: RecordingFact) -> None:
        self._report(fact)

    def _handle_tap_lost(self, recording_id: str) -> None:
        recording = self._recordings.get(recording_id)
        if recording is not None and recording.has_part and not self._is_stopping:
            self._open_tap(recording_id, recording, None)

    def _handle_lost(self) -> None:
        """All recordings that the process knew are over."""
        lost = [recording_id for recording_id, recording in self._recordings.items() if recording.is_known]
        for recording_id in lost:
            self._end_tap(self._recordings[recording_id])
            self._unsettled[recording_id] = None
        if lost:
            reading = asyncio.create_task(self._report_lost(lost))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _report_lost(self, recording_ids: Sequence[str]) -> None:
        """Report the outcomes of recordings whose process was lost."""
        for recording_id in recording_ids:
            outcome = await asyncio.to_thread(self._former.read, recording_id)
            if outcome is not None:
                self._report(RecordingStarted(recording_id=recording_id))
            self._report(outcome or lost_recording(recording_id))

    def _report_soon(self, fact: RecordingFact) -> None:
        """Report a fact after the call of the manager that has caused it."""
        asyncio.get_running_loop().call_soon(self._report, fact)

    def _report(self, fact: RecordingFact) -> None:
        if isinstance(fact, RecordingStarted):
            self._on_fact(fact)
            return
        if self._recordings.pop(fact.recording_id, None) is None:
            return
        self.counts.note(fact)
        self._unsettled[fact.recording_id] = None
        durable = self._on_fact(fact)
        if durable is None:
            self._settle(fact.recording_id)
        else:
            durable.add_done_callback(lambda done: self._note_durable(fact.recording_id, done))

    def _note_durable(self, recording_id: str, durable: "asyncio.Future[None]") -> None:
        if not durable.cancelled() and durable.exception() is None:
            self._settle(recording_id)

    def _settle(self, recording_id: str) -> None:
        """The outcome of a recording is durable: its journal may be deleted."""
        del self._unsettled[recording_id]
        if self._worker is not None:
            self._worker.send(SettleCommand(recording_id=recording_id))
