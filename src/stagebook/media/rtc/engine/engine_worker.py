"""The server's end of one engine process: it starts the process with its settings and knows its UDP port."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from stagebook.media.port import MediaFact
from stagebook.media.rtc.engine.engine_messages import (
    EngineRunning,
    OpeningRequest,
    StartEngine,
    StatisticsReported,
    TcpDescriptors,
    receive_report,
)
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.statistics.engine_statistics import NO_STATISTICS, EngineStatistics
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_messages import Report, Request
from stagebook.media.worker.worker_process import WorkerProcess
from stagebook.media.worker.worker_run import WorkerProgram, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

_log = structlog.get_logger(__name__)

FIRST_UNPRIVILEGED_PORT = 1024


class EngineWorker(WorkerProcess):
    """One engine process."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        number: int,
        on_fact: Callable[[MediaFact], None],
        on_lost: Callable[["EngineWorker", frozenset[str]], None],
        timeouts: WorkerTimeouts,
        user: ProcessUser | None = None,
    ) -> None:
        """`on_lost` is called after the running process exited without being asked to, with the ids of the connections
        whose opening request failed for that reason."""
        if user is not None:
            user = msgspec.structs.replace(user, binds_low_ports=0 < settings.udp_port < FIRST_UNPRIVILEGED_PORT)
        program = WorkerProgram(
            name="media engine",
            number=number,
            module="stagebook.media.rtc.engine.engine_process",
            receive=receive_report,
            user=user,
        )
        super().__init__(program, on_fact=on_fact, timeouts=timeouts)
        self.udp_port = settings.udp_port
        """The port of the running process; before the first run, the configured one."""
        self.feed_directory = settings.feed_directory
        """The directory of the media bus socket, from the next run on."""
        self.statistics: EngineStatistics = NO_STATISTICS
        """As last reported, with the totals of the runs before."""
        self._ended_runs = NO_STATISTICS
        """The totals of the runs that have ended."""
        self._settings = settings
        self._tcp: TcpDescriptors | None = None
        self._report_loss = on_lost

    def use_tcp(self, descriptors: TcpDescriptors) -> None:
        """Let the process serve TCP as well, from the next run on. The descriptors stay valid until the last run."""
        self._tcp = descriptors
        inherited = (*descriptors.listeners, descriptors.inbox, *descriptors.outboxes.values())
        self._program = msgspec.structs.replace(self._program, pass_fds=inherited)

    def _start_command(self) -> StartEngine:
        return StartEngine(
            settings=msgspec.structs.replace(
                self._settings, udp_port=self.udp_port, feed_directory=self.feed_directory
            ),
            tcp=self._tcp,
        )

    def _on_started(self, report: Report) -> None:
        if not isinstance(report, EngineRunning):
            raise WorkerStartError(self._start_failure("it sent an unexpected first message"))
        self.udp_port = report.udp_port
        _log.info("media engine runs", engine=self.number, udp_port=self.udp_port, process_id=self.process_id)

    def _on_report(self, report: Report) -> None:
        if isinstance(report, StatisticsReported):
            self.statistics = report.statistics.continued_from(self._ended_runs)

    def _start_failure(self, detail: str) -> str:
        addresses = ", ".join(self._settings.bind_addresses)
        return f"media cannot be received on {addresses} UDP port {self.udp_port}: {detail}"

    def _on_restart_failed(self) -> None:
        # Another process may have taken the port that the system chose: let the system choose again. A configured port
        # is tried again.
        self.udp_port = self._settings.udp_port

    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        self.statistics = self._ended_runs = self.statistics.without_connections()
        # An open connection is lost whether or not a request about it was answered.
        opening = (request for request in unanswered if isinstance(request, OpeningRequest))
        self._report_loss(self, frozenset(request.connection_id for request in opening))
