"""A composition process: a ComposedStage that is controlled over a control socket. `composition_run` starts it.

    python -m stagebook.media.composition.processes.composition_process <file descriptor of the control socket>

The process exits when the server sends Stop or closes the socket.
"""

import asyncio
import os
import random
import socket
import sys
from collections.abc import Callable
from typing import Final

from stagebook.media.composition.drawing.picture_memory import keep_freed_memory
from stagebook.media.composition.processes.composed_stage import ComposedStage
from stagebook.media.composition.processes.composing_statistics import STATISTICS_INTERVAL_SECONDS
from stagebook.media.composition.processes.composition_messages import (
    AcceptTap,
    CloseTap,
    ComposedTapAccepted,
    ComposingCommand,
    ComposingEnded,
    ComposingMeasured,
    ComposingStarted,
    EndComposing,
    OutputChanged,
    ShowParticipants,
    StartComposing,
    TapEnded,
    receive_composing_command,
)
from stagebook.media.port import RefusalReason
from stagebook.media.tap.tap_receiver import TapReceiver
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import KeptRights
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main
from stagebook.media.worker.worker_messages import RequestRefused

MAX_FILE_BYTES: Final = 256 << 20
"""The largest file of a spool is a segment: 10 s at 8.5 Mbit/s have 11 MB."""
TAP_BATCH_SECONDS: Final = 0.02
"""One packet of sound. Pictures and sound that arrive later are composed later."""


class _ComposingWorker:
    """Carries out the server's commands with a ComposedStage (`worker_main.Worker`)."""

    def __init__(self, command: StartComposing, reports: ReportWriter, is_server_lost: Callable[[], bool]) -> None:
        self._reports = reports
        self._tap_directory = command.tap_directory
        self._taps = TapReceiver(
            clock=asyncio.get_running_loop().time, randomness=random.SystemRandom(), batch_seconds=TAP_BATCH_SECONDS
        )
        self._stage = ComposedStage(
            command.request,
            setup=command.setup,
            leftovers=command.leftovers,
            taps=self._taps,
            report=lambda fact: reports.send(OutputChanged(fact=fact)),
            on_tap_ended=lambda tap_id: reports.send(TapEnded(tap_id=tap_id)),
            # A composition without pictures is none. The server sees the exit and reports the loss.
            on_failure=lambda: os._exit(1),
        )
        self._ending: asyncio.Task[None] | None = None
        self._measurements: asyncio.Task[None] | None = None
        self._is_server_lost = is_server_lost

    async def start(self) -> ComposingStarted:
        """Compose from now on. Raises OSError."""
        await self._taps.start(self._tap_directory)
        await self._stage.open_spool()
        self._stage.start()
        self._measurements = asyncio.create_task(self._report_statistics())
        return ComposingStarted()

    async def stop(self) -> None:
        """End the composition, unless it has ended. A server that has not asked for its end is lost."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(is_server_lost=True))
        await self._ending
        if self._measurements is not None:
            self._measurements.cancel()
        # The server sends Stop when the reports that it got are durable. A lost server may not have got them.
        await self._stage.close(is_settled=not self._is_server_lost())
        await self._taps.stop()

    def handle(self, command: ComposingCommand) -> None:
        """Carry out a command, and reply to it if it is a request."""
        match command:
            case ShowParticipants():
                self._stage.show(command.participants)
            case AcceptTap():
                self._reports.send(self._accept(command))
            case CloseTap():
                self._stage.close_tap(command.tap_id)
            case EndComposing() if self._ending is None:
                self._ending = asyncio.create_task(self._end())

    def _accept(self, command: AcceptTap) -> ComposedTapAccepted | RequestRefused:
        try:
            ticket = self._stage.accept_tap(command.connection_id, command.participant_id, command.description)
        except ValueError as error:
            return RequestRefused(request_id=command.request_id, reason=RefusalReason.BUSY, detail=str(error))
        return ComposedTapAccepted(request_id=command.request_id, ticket=ticket)

    async def _end(self, *, is_server_lost: bool = False) -> None:
        await self._stage.end(is_server_lost=is_server_lost)
        self._reports.send(ComposingMeasured(statistics=self._stage.statistics()))
        self._reports.send(ComposingEnded())

    async def _report_statistics(self) -> None:
        while True:
            await asyncio.sleep(STATISTICS_INTERVAL_SECONDS)
            self._reports.send_measurement(ComposingMeasured(statistics=self._stage.statistics()))


async def serve(control_socket: socket.socket) -> int:
    """Compose until Stop, or until the server closes the control socket. Returns the exit code."""
    lost = asyncio.Event()

    async def receive(reader: asyncio.StreamReader) -> ComposingCommand:
        try:
            return await receive_composing_command(reader)
        except BrokenStreamError:
            lost.set()
            raise

    def make_worker(command: ComposingCommand, reports: ReportWriter) -> _ComposingWorker | None:
        return _ComposingWorker(command, reports, lost.is_set) if isinstance(command, StartComposing) else None

    return await run_worker(control_socket, receive, make_worker)


if __name__ == "__main__":
    keep_freed_memory()
    rights = KeptRights(max_file_bytes=MAX_FILE_BYTES, starts_threads=True)
    sys.exit(worker_main(serve, late_modules=("stagebook.storage.s3_store",), kept_rights=rights))
