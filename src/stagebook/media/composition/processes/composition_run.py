"""The server's end of one composition process, from its start to its exit.

    spawn -> StartComposing -> ComposingStarted -> facts, taps ... -> EndComposing -> ComposingEnded -> Stop

A process is not started again: its composition is lost with it. The end is bounded in time: a process that does not
complete its outputs is killed. Stop follows when the ends of the outputs are durable, because the process then deletes
their journals.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from itertools import count
from typing import Any, Final

import structlog

from stagebook.media.composition.composition_port import (
    ComposedParticipant,
    CompositionFact,
    CompositionListener,
    CompositionLost,
    CompositionRequest,
    OutputEnded,
    OutputFailed,
)
from stagebook.media.composition.processes.composing_statistics import NO_COMPOSING_STATISTICS, ComposingStatistics
from stagebook.media.composition.processes.composition_messages import (
    AcceptTap,
    CloseTap,
    ComposedTapAccepted,
    ComposingEnded,
    ComposingMeasured,
    ComposingSetup,
    ComposingStarted,
    EndComposing,
    OutputChanged,
    ShowParticipants,
    StartComposing,
    TapEnded,
    receive_composing_report,
)
from stagebook.media.composition.processes.composition_taps import CompositionTaps, SourceTaps
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_messages import Command, Report, RequestRefused, StartFailed, Stop
from stagebook.media.worker.worker_run import WorkerProgram, WorkerRun, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts, wait_in_intervals

END_SECONDS: Final = 40.0
"""Maximum time from EndComposing to ComposingEnded: above what an output takes at most."""
_EXIT_SECONDS: Final = 3.0

_log = structlog.get_logger(__name__)


def _program(number: int, *, folder: str, user: ProcessUser | None) -> WorkerProgram:
    return WorkerProgram(
        name="composition process",
        number=number,
        module="stagebook.media.composition.processes.composition_process",
        receive=receive_composing_report,
        # The authorities of RTMPS servers, and the credentials of a store that the environment names.
        kept_variables=("AWS_", "SSL_CERT_"),
        folder=folder,
        user=user,
    )


class CompositionRun:
    """One composition and its process (`TapProcess`)."""

    def __init__(
        self,
        request: CompositionRequest,
        *,
        number: int,
        setup: ComposingSetup,
        folder: str,
        prepare: Callable[[], Awaitable[None]],
        tap_directory: str,
        leftovers: tuple[str, ...] = (),
        opener: SourceTaps,
        user: ProcessUser | None,
        on_fact: CompositionListener,
        complete_outputs: Callable[[], Collection[str]],
        on_gone: Callable[[], None],
        timeouts: WorkerTimeouts,
    ) -> None:
        """`folder` is the working directory of the process, which `prepare` makes; it raises OSError.
        `complete_outputs` reads from disk which destinations are complete. `on_gone` is called once, when the process
        has exited."""
        self._composition_id = request.composition_id
        self._start_command = StartComposing(
            request=request, setup=setup, tap_directory=tap_directory, leftovers=leftovers
        )
        self._report_fact = on_fact
        self._report_gone = on_gone
        self._timeouts = timeouts
        self._taps = CompositionTaps(opener, self)
        self._ids = count(1)
        self._tickets: dict[int, asyncio.Future[FeedTicket]] = {}
        self._participants: tuple[ComposedParticipant, ...] = ()
        self._run: WorkerRun | None = None
        """The process while it takes commands."""
        self._open_outputs = {output.destination_id for output in request.outputs}
        self._is_ending = False
        self._durable: list[asyncio.Future[None]] = []
        """Of the ends of outputs."""
        self._stopping: asyncio.Task[None] | None = None
        self._prepare = prepare
        self._complete_outputs = complete_outputs
        self.statistics: ComposingStatistics = NO_COMPOSING_STATISTICS
        """As last reported."""
        self._program = _program(number, folder=folder, user=user)
        self._task = asyncio.create_task(self._supervise())

    @property
    def process_id(self) -> int | None:
        """The process id; None before the process composes and after its end."""
        return None if self._run is None else self._run.process_id

    @property
    def is_complete(self) -> bool:
        """Whether all destinations have ended or failed."""
        return not self._open_outputs

    def show(self, participants: tuple[ComposedParticipant, ...]) -> None:
        """As CompositionEngine.show_participants."""
        self._participants = participants
        if self._run is not None and not self._is_ending:
            self._send(ShowParticipants(participants=participants))
            self._taps.show(participants)

    def end(self) -> None:
        """As CompositionEngine.end_composition."""
        if not self._is_ending:
            self._is_ending = True
            if self._run is not None:
                self._begin_end()

    async def stop(self, *, seconds: float) -> None:
        """End the composition and wait for the exit of its process, which is killed after `seconds`."""
        self.end()
        if await self._wait(self._task, seconds):
            return
        # What is still open is reported as lost.
        self._kill()
        if not await self._wait(self._task, _EXIT_SECONDS):
            self._task.cancel()
            await asyncio.wait([self._task])

    async def accept_tap(self, tap_id: str, participant_id: str, description: SourceDescription) -> FeedTicket:
        """As TapProcess."""
        request = AcceptTap(
            request_id=next(self._ids), connection_id=tap_id, participant_id=participant_id, description=description
        )
        ticket = self._tickets[request.request_id] = asyncio.get_running_loop().create_future()
        self._send(request)
        try:
            if not await self._wait(ticket, self._timeouts.request_seconds):
                raise MediaRefusedError(reason=RefusalReason.BUSY, detail="the composition process did not reply")
            accepted: FeedTicket = ticket.result()
            return accepted
        finally:
            del self._tickets[request.request_id]

    def close_tap(self, tap_id: str) -> None:
        """As TapProcess."""
        self._send(CloseTap(tap_id=tap_id))

    def _send(self, command: Command) -> None:
        if self._run is not None:
            self._run.send(command)

    async def _wait(self, future: "asyncio.Future[Any]", seconds: float) -> bool:
        return await wait_in_intervals(future, seconds=seconds, interval_seconds=self._timeouts.heartbeat_seconds)

    async def _supervise(self) -> None:
        try:
            await self._prepare()
            await self._run_once(await WorkerRun.spawn(self._program, timeouts=self._timeouts))
        except (OSError, WorkerStartError) as error:
            _log.error("a composition cannot start", detail=str(error), composition=self._composition_id)
        finally:
            await self._report_lost()
            self._report_gone()

    async def _report_lost(self) -> None:
        """Report the outputs that the process has not: those that are complete, and that it was lost with the others.
        Returns when that is durable: then another process deletes what it has left."""
        if self._open_outputs:
            for destination_id in await asyncio.to_thread(self._complete_outputs):
                if destination_id in self._open_outputs:
                    self._report(OutputEnded(composition_id=self._composition_id, destination_id=destination_id))
        if self._open_outputs:
            self._report(CompositionLost(composition_id=self._composition_id))
        if self._durable:
            await asyncio.wait(self._durable)

    def _report(self, fact: CompositionFact) -> None:
        if isinstance(fact, OutputEnded | OutputFailed):
            self._open_outputs.discard(fact.destination_id)
        if (durable := self._report_fact(fact)) is not None:
            self._durable.append(durable)

    async def _run_once(self, run: WorkerRun) -> None:
        """From the start command to the exit. Raises WorkerStartError."""
        try:
            run.send(self._start_command)
            report = await run.first_report()
            if not isinstance(report, ComposingStarted):
                raise WorkerStartError(report.detail if isinstance(report, StartFailed) else type(report).__name__)
            self._run = run
            _log.info("composition process runs", process_id=run.process_id, composition=self._composition_id)
            if self._is_ending:
                self._begin_end()
            else:
                self.show(self._participants)
            while True:
                self._handle(await run.next_report())
        except BrokenStreamError:
            return
        finally:
            self._run = None
            self._taps.stop()
            exit_code = await run.reap()
            if self._open_outputs:
                _log.error("a composition process exited", exit_code=exit_code, composition=self._composition_id)

    def _begin_end(self) -> None:
        self._taps.stop()
        self._send(EndComposing())
        asyncio.get_running_loop().call_later(END_SECONDS, self._kill)

    def _kill(self) -> None:
        if self._run is not None:
            self._run.kill()

    def _handle(self, report: Report) -> None:
        match report:
            case ComposedTapAccepted() if (ticket := self._waiting(report.request_id)) is not None:
                ticket.set_result(report.ticket)
            case RequestRefused() if (ticket := self._waiting(report.request_id)) is not None:
                ticket.set_exception(MediaRefusedError(reason=report.reason, detail=report.detail))
            case TapEnded():
                self._taps.tap_ended(report.tap_id)
            case OutputChanged():
                self._report(report.fact)
            case ComposingMeasured():
                self.statistics = report.statistics
            case ComposingEnded():
                self._stopping = asyncio.create_task(self._stop_process())

    async def _stop_process(self) -> None:
        """Let the process exit once the ends of all outputs are durable."""
        if self._durable:
            await asyncio.wait(self._durable)
        if all(not each.cancelled() and each.exception() is None for each in self._durable):
            self._send(Stop())
        asyncio.get_running_loop().call_later(_EXIT_SECONDS, self._kill)

    def _waiting(self, request_id: int) -> "asyncio.Future[FeedTicket] | None":
        ticket = self._tickets.get(request_id)
        return None if ticket is None or ticket.done() else ticket
