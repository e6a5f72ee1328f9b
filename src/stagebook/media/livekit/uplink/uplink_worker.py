"""The server's end of one uplink process: it opens feeds there, and knows the sources that it publishes."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from stagebook.media.livekit.uplink.uplink_messages import (
    CloseUplinkFeedCommand,
    EndUplinkCommand,
    OpenUplinkFeedRequest,
    StartUplinks,
    UplinkConnected,
    UplinkFeedOpened,
    UplinkLost,
    UplinkSettings,
    UplinksRunning,
    receive_report,
)
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Connected, MediaFact, SourceMeasured
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_messages import Report, Request
from stagebook.media.worker.worker_process import WorkerProcess
from stagebook.media.worker.worker_run import WorkerProgram, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

_log = structlog.get_logger(__name__)


class UplinkWorker(WorkerProcess):
    """One uplink process, restarted when it exits."""

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        number: int,
        on_fact: Callable[[MediaFact], None],
        on_connected: Callable[[str], None],
        on_lost: Callable[[str, str], None],
        timeouts: WorkerTimeouts,
        user: ProcessUser | None = None,
    ) -> None:
        """`on_connected` is called with the source that LiveKit has connected; `on_lost` with one that is lost, and the
        reason."""
        self.feed_directory = settings.feed_directory
        """The directory of the media bus socket, from the next run on."""
        self.sources: dict[str, set[str]] = {}
        """The open feeds by source."""
        self._settings = settings
        self._hear = on_fact
        self._report_connected = on_connected
        self._report_lost = on_lost
        program = WorkerProgram(
            name="uplink process",
            number=number,
            module="stagebook.media.livekit.uplink.uplink_process",
            receive=receive_report,
            user=user,
        )
        super().__init__(program, on_fact=self._handle_fact, timeouts=timeouts)

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool, token: str) -> FeedTicket:
        """Allow an encoder's connection to feed a source. Raises MediaRefusedError."""
        self.sources.setdefault(source_id, set()).add(connection_id)
        request = OpenUplinkFeedRequest(
            request_id=self.next_request_id(),
            connection_id=connection_id,
            source_id=source_id,
            is_redundant=is_redundant,
            token=token,
        )
        try:
            return (await self.request(request, UplinkFeedOpened)).ticket
        except BaseException:
            self.close(connection_id)
            raise

    def close(self, connection_id: str) -> str | None:
        """Close a feed. Return its source if that has no feed any more. Unknown ids are ignored."""
        for source_id, feed_ids in self.sources.items():
            if connection_id in feed_ids:
                feed_ids.remove(connection_id)
                self.send(CloseUplinkFeedCommand(connection_id=connection_id))
                if feed_ids:
                    return None
                del self.sources[source_id]
                return source_id
        return None

    def end_source(self, source_id: str) -> bool:
        """End a source. Returns whether it was here."""
        if self.sources.pop(source_id, None) is None:
            return False
        self.send(EndUplinkCommand(source_id=source_id))
        return True

    def _handle_fact(self, fact: MediaFact) -> None:
        """Pass a fact on, unless its connection was closed while the fact was on its way."""
        if isinstance(fact, Connected | SourceMeasured) and any(
            fact.connection_id in feed_ids for feed_ids in self.sources.values()
        ):
            self._hear(fact)

    def _on_report(self, report: Report) -> None:
        match report:
            case UplinkConnected() if report.source_id in self.sources:
                self._report_connected(report.source_id)
            case UplinkLost() if report.source_id in self.sources:
                _log.warning("an uplink is lost", source_id=report.source_id, detail=report.detail)
                self._report_lost(report.source_id, report.detail)

    def _start_command(self) -> StartUplinks:
        return StartUplinks(settings=msgspec.structs.replace(self._settings, feed_directory=self.feed_directory))

    def _on_started(self, report: Report) -> None:
        if not isinstance(report, UplinksRunning):
            raise WorkerStartError(self._start_failure("it sent an unexpected first message"))
        _log.info("uplink process runs", engine=self.number, process_id=self.process_id)

    def _start_failure(self, detail: str) -> str:
        return f"encoders cannot be published to LiveKit: {detail}"

    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        """Report the loss of the sources. A feed whose request has failed is none of theirs."""
        for request in unanswered:
            self.close(request.connection_id)
        for source_id in list(self.sources):
            self._report_lost(source_id, "the uplink process exited")
