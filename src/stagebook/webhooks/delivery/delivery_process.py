"""The server's side of the delivery process: starts it for the first destination, wakes it, knows the backlogs."""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from stagebook.book.book_source import BookSource, DatabaseSource
from stagebook.media.worker.worker_messages import Command, Report, Request
from stagebook.media.worker.worker_process import WorkerProcess
from stagebook.media.worker.worker_run import WorkerProgram, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from stagebook.webhooks.delivery.delivery_messages import (
    BacklogReported,
    DeliveryRunning,
    DeliverySettings,
    EventsDurable,
    StartDelivery,
    WebhooksChanged,
    receive_report,
)
from stagebook.webhooks.delivery_records import Backlog
from stagebook.webhooks.webhook_place import webhook_place
from stagebook.webhooks.webhook_store import WebhookSeal, WebhookStore
from stagebook.webhooks.webhook_tables import WebhookStorageError

WAKE_DELAY_SECONDS = 0.01
"""Groups of transactions that become durable within this time wake the process once."""
CHECK_INTERVAL_SECONDS = 1.0
"""While the process is not running, the tables are looked at so often: another process may have made a destination."""
KEPT_VARIABLES = ("AWS_", "SSL_CERT_", "HOME", "BOTO_CONFIG")
"""The variables of the server's environment, beside those of every worker, that boto3 and OpenSSL read."""
_log = structlog.get_logger(__name__)


class _DeliveryWorkerProcess(WorkerProcess):
    """The supervised process."""

    def __init__(self, start: StartDelivery, *, timeouts: WorkerTimeouts) -> None:
        program = WorkerProgram(
            name="delivery process",
            number=0,
            module="stagebook.webhooks.delivery.delivery_worker",
            receive=receive_report,
            user=None,
            kept_variables=KEPT_VARIABLES,
        )
        super().__init__(program, on_fact=lambda _: None, timeouts=timeouts)
        self._command = start
        self.backlogs: Mapping[str, Backlog] = {}

    def _start_command(self) -> Command:
        return self._command

    def _on_started(self, report: Report) -> None:
        if not isinstance(report, DeliveryRunning):
            raise WorkerStartError("the delivery process sent an unexpected report")

    def _start_failure(self, detail: str) -> str:
        return f"the delivery process cannot start: {detail}"

    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        """Do nothing: the next run continues at the stored positions."""

    def _on_report(self, report: Report) -> None:
        if isinstance(report, BacklogReported):
            self.backlogs = {each.destination_id: each for each in report.backlogs}


class _DestinationSearch(Protocol):
    def has_destination(self) -> bool:
        """Return whether there is a destination. Only one thread at a time may call it. Raises WebhookStorageError."""

    def forget(self) -> None:
        """Look again, also if nothing has changed."""

    def close(self) -> None:
        """Close the connection, if there is one."""


class _FileSearch:
    """Opens the file only when it has changed."""

    def __init__(self, path: Path, seal: WebhookSeal) -> None:
        self._path = path
        self._seal = seal
        self._seen: Sequence[tuple[int, int]] = ()

    def has_destination(self) -> bool:
        """See `_DestinationSearch`. Without a change since the last call, there is none."""
        paths = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        found = [(status.st_mtime_ns, status.st_size) for path in paths if (status := _status(path))]
        seen, self._seen = self._seen, found
        if found == seen:
            return False
        with WebhookStore.open(self._path, seal=self._seal) as store:
            return store.has_destinations()

    def forget(self) -> None:
        """See `_DestinationSearch`."""
        self._seen = ()

    def close(self) -> None:
        """See `_DestinationSearch`."""


class _DatabaseSearch:
    """Asks the database, on one connection."""

    def __init__(self, source: DatabaseSource, seal: WebhookSeal) -> None:
        self._source = source
        self._seal = seal
        self._store: WebhookStore | None = None

    def has_destination(self) -> bool:
        """See `_DestinationSearch`."""
        if self._store is None:
            self._store = WebhookStore.open(self._source, seal=self._seal)
        found = self._store.has_destinations()
        if found:
            self.close()
        return found

    def forget(self) -> None:
        """See `_DestinationSearch`. A connection that was lost is made again."""

    def close(self) -> None:
        """See `_DestinationSearch`."""
        store, self._store = self._store, None
        if store is not None:
            store.close()


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


class WebhookDelivery:
    """Delivers webhooks while it is started. There is no process before there is a destination.

    A disabled one counts, because it can be sent test events.
    """

    def __init__(
        self,
        *,
        source: BookSource,
        file_path: Path,
        secret: bytes,
        settings: DeliverySettings,
        run_id: int | None = None,
        timeouts: WorkerTimeouts | None = None,
    ) -> None:
        """`run_id` is the run of the node, for a book in a database."""
        seal = WebhookSeal(secret)
        place = webhook_place(source, file_path=file_path)
        self._search: _DestinationSearch = (
            _FileSearch(place, seal) if isinstance(place, Path) else _DatabaseSearch(place, seal)
        )
        command = StartDelivery(
            book_path=str(source) if isinstance(source, Path) else None,
            database=None if isinstance(source, Path) else source,
            run_id=run_id,
            file_path=str(file_path),
            secret=secret,
            settings=settings,
        )
        self._process = _DeliveryWorkerProcess(command, timeouts=timeouts or WorkerTimeouts())
        self._changed = asyncio.Event()
        self._is_started = False
        self._waking: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def backlogs(self) -> Mapping[str, Backlog]:
        """The backlogs of the enabled destinations by their ids, as they were about a second ago."""
        return self._process.backlogs

    @property
    def process_id(self) -> int | None:
        """The process id of the delivery process, or None."""
        return self._process.process_id

    def start(self) -> None:
        """Start to watch the tables of webhooks, and the process if they have a destination."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop the process. What has not been delivered is delivered after the next start."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await asyncio.to_thread(self._search.close)
        if self._waking is not None:
            self._waking.cancel()
        await self._process.stop()

    def note_durable(self) -> None:
        """The book has new events. Called on the event loop, for each group of transactions."""
        if self._waking is None and self._process.is_running:
            self._waking = asyncio.get_running_loop().call_later(WAKE_DELAY_SECONDS, self._wake)

    def note_changed(self) -> None:
        """The tables of webhooks have changed."""
        self._changed.set()
        self._process.send(WebhooksChanged())

    def _wake(self) -> None:
        self._waking = None
        self._process.send(EventsDurable())

    async def _watch(self) -> None:
        """Start the process once there is a destination. From then on it watches the tables itself."""
        is_failing = False
        while not self._is_started:
            self._changed.clear()
            try:
                if await asyncio.to_thread(self._search.has_destination):
                    await self._process.start()
                    self._is_started = True
                is_failing = False
            except (WorkerStartError, WebhookStorageError) as error:
                if not is_failing:
                    _log.error("webhooks are not delivered", detail=str(error))
                is_failing = True
                self._search.forget()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_SECONDS):
                    await self._changed.wait()
