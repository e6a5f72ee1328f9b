"""One engine process: what it is asked and what it tells, and at which port it is found.

Knows requests and their replies; which source belongs here is `pool`'s to know.
"""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Answer, MediaFact, PatchAnswer
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.worker.worker_process import WorkerProcess, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

__all__ = ["Engine", "WorkerStartError", "WorkerTimeouts"]

_log = structlog.get_logger(__name__)


class Engine(WorkerProcess):
    """One engine. `hear` is told its facts; `lost` is called after its process ended unasked, with the ids of the
    connections that were still asked for."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        number: int,
        hear: Callable[[MediaFact], None],
        lost: Callable[["Engine", frozenset[str]], None],
        timeouts: WorkerTimeouts,
    ) -> None:
        super().__init__(
            name="media engine",
            number=number,
            module="stagebook.media.rtc.engine.engine_process",
            receive=engine_messages.receive_report,
            on_fact=hear,
            timeouts=timeouts,
        )
        self.udp_port = settings.udp_port
        self.feed_directory = settings.feed_directory
        """Where the next life of the process listens for feeds."""
        self._settings = settings
        self._tell_loss = lost

    async def open(self, request: engine_messages.Publish | engine_messages.Subscribe) -> Answer:
        """Send an offer and wait for its answer. Raises MediaRefusedError; ENGINE_LOST if no reply comes."""
        return (await self.request(request, engine_messages.Answered)).answer

    async def patch(self, request: engine_messages.Patch) -> PatchAnswer:
        """Send a fragment and wait for its answer. Raises as `open`."""
        return (await self.request(request, engine_messages.Patched)).answer

    async def feed(self, request: engine_messages.Feed) -> FeedTicket:
        """Ask for a feed's ticket. Raises as `open`."""
        return (await self.request(request, engine_messages.FeedOpened)).ticket

    def _start_command(self) -> engine_messages.Run:
        return engine_messages.Run(
            settings=msgspec.structs.replace(self._settings, udp_port=self.udp_port, feed_directory=self.feed_directory)
        )

    def _on_started(self, report: engine_messages.Report) -> None:
        if not isinstance(report, engine_messages.Running):
            raise WorkerStartError(self._start_failure("it said something else first"))
        self.udp_port = report.udp_port
        _log.info("media engine runs", engine=self.number, udp_port=self.udp_port, process_id=self.process_id)

    def _start_failure(self, detail: str) -> str:
        where = ", ".join(self._settings.bind_addresses)
        return f"media cannot be received on {where} UDP port {self.udp_port}: {detail}"

    def _on_restart_failed(self) -> None:
        # The number that the system chose may be another's by now; one that was configured stays.
        self.udp_port = self._settings.udp_port

    def _on_lost(self, unanswered: Sequence[engine_messages.Request]) -> None:
        offers = (request for request in unanswered if not isinstance(request, engine_messages.Patch))
        self._tell_loss(self, frozenset(request.connection_id for request in offers))
