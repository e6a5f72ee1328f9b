"""The delivery process: delivers events to all destinations. `delivery_process` starts it.

    python -m stagebook.webhooks.delivery.delivery_worker <file descriptor of the control socket>

It exits when the server sends Stop or closes the socket, so it never outlives the server. It reads what receivers
answer, so it gives up what it does not need: new privileges and core dumps, which would hold the secrets of
destinations. Unlike a media process it keeps the user of the server, because it reads the book and writes the file of
webhooks.
"""

import asyncio
import ctypes
import importlib.util
import ipaddress
import os
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import uvloop

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.media.worker.worker_main import ReportWriter, run_worker
from stagebook.webhooks.delivery.delivery_journal import DeliveryJournal, SampleRequest
from stagebook.webhooks.delivery.delivery_messages import (
    BacklogReported,
    DeliveryCommand,
    DeliveryRunning,
    DeliverySettings,
    EventsDurable,
    StartDelivery,
    WebhooksChanged,
    receive_command,
)
from stagebook.webhooks.delivery.delivery_run import DeliveryRun
from stagebook.webhooks.delivery.delivery_schedule import DeliverySchedule, Progress, ScheduleLimits
from stagebook.webhooks.delivery.sample_delivery import deliver_test
from stagebook.webhooks.delivery_records import Backlog, Run
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.event_source import EventSource
from stagebook.webhooks.targets.new_target import CALLS_PER_RUN, new_target
from stagebook.webhooks.targets.target import Target
from stagebook.webhooks.webhook_file import RunKind
from stagebook.webhooks.webhook_place import webhook_place
from stagebook.webhooks.webhook_store import WebhookSeal
from stagebook.webhooks.webhook_tables import WebhooksBusyError, WebhookStorageError

STORE_INTERVAL_SECONDS = 0.1
"""What has been delivered is stored so often. A crash repeats the deliveries of this time."""
MAXIMUM_TESTS = 8
"""The test events that are delivered at a time. Others wait in the tables."""
CHECK_INTERVAL_SECONDS = 0.5
"""How often the tables are checked for changes by others, for example by the command line."""
_PR_SET_NO_NEW_PRIVS = 38
_log = structlog.get_logger(__name__)


class SteadyClock:
    """The wall clock of the start of the process, continued by the monotonic clock: it never goes back."""

    def __init__(self) -> None:
        self._offset_ms = (time.time_ns() - time.monotonic_ns()) // 1_000_000

    def __call__(self) -> int:
        """Return milliseconds since the epoch."""
        return self._offset_ms + time.monotonic_ns() // 1_000_000


class DeliveryWorker:
    """Carries out the server's commands (`worker_main.Worker`)."""

    def __init__(self, command: StartDelivery, send: Callable[[BacklogReported], None]) -> None:
        self._command = command
        self._send = send
        self._settings: DeliverySettings = command.settings
        self._denied = tuple(ipaddress.ip_network(each) for each in command.settings.denied_networks)
        self._now_ms = SteadyClock()
        self._wake = asyncio.Event()
        self._must_reload = True
        self._targets: dict[str, Target] = {}
        self._runs: dict[int, tuple[DeliveryRun, asyncio.Task[None]]] = {}
        self._reported: dict[str, Backlog] = {}
        self._tests: dict[asyncio.Task[None], Destination] = {}

    async def start(self) -> DeliveryRunning:
        """Open the tables and start the deliveries. Raises OSError."""
        try:
            source, run_id = self._command.source, self._command.run_id
            place = webhook_place(source, file_path=Path(self._command.file_path))
            self._source = EventSource(source, run_id=run_id)
            self._journal = DeliveryJournal(place, seal=WebhookSeal(self._command.secret), run_id=run_id)
        except (BookRefusedError, BookFailedError, WebhookStorageError) as error:
            raise OSError(str(error)) from error
        self._serving = asyncio.create_task(self._serve())
        self._serving.add_done_callback(_exit_if_failed)
        return DeliveryRunning()

    def handle(self, command: DeliveryCommand) -> None:
        """Carry out a command."""
        match command:
            case EventsDurable():
                for run, _ in self._runs.values():
                    run.wake()
            case WebhooksChanged():
                self._wake.set()

    async def stop(self) -> None:
        """End all deliveries, and store what has been delivered."""
        self._serving.cancel()
        await asyncio.wait([self._serving])
        await self._end_runs(list(self._runs))
        self._store()
        for target in self._targets.values():
            await target.close()
        self._journal.close()
        self._source.close()

    async def _serve(self) -> None:
        is_failing = False
        while True:
            self._wake.clear()
            try:
                self._must_reload |= self._journal.has_changed()
                if self._must_reload:
                    await self._reload()
                    self._must_reload = False
                self._store()
                is_failing = False
            except WebhooksBusyError as error:
                # Another process has written for too long, or the database is away. What was collected is kept.
                if not is_failing:
                    _log.warning("the tables of webhooks cannot be used at the moment", reason=str(error))
                is_failing = True
            await asyncio.sleep(STORE_INTERVAL_SECONDS)
            try:
                async with asyncio.timeout(CHECK_INTERVAL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _store(self) -> None:
        """Store what has been delivered, and report the backlogs that have changed."""
        backlogs: dict[str, Backlog] = {}
        for run, _ in self._runs.values():
            run.store_progress()
            if run.run.kind is RunKind.LIVE:
                backlogs[run.destination.destination_id] = run.backlog
        changed = {name: each for name, each in backlogs.items() if self._reported.get(name) != each}
        self._journal.flush(changed)
        if changed or backlogs.keys() != self._reported.keys():
            self._reported = backlogs
            self._send(BacklogReported(backlogs=tuple(backlogs.values())))

    async def _reload(self) -> None:
        """Start, restart and end runs, so that they are those of the tables, of the accounts that the node owns."""
        self._store()
        owned = self._journal.owned_accounts()
        destinations = {
            each.destination_id: each
            for each in self._journal.destinations()
            if owned is None or each.account_id in owned
        }
        runs = {run.key: (run, progress) for run, progress in self._journal.runs()}
        await self._end_runs(
            [
                key
                for key, (running, _) in self._runs.items()
                if key not in runs or destinations.get(running.run.destination_id) != running.destination
            ]
        )
        for name in [name for name in self._targets if not self._is_used(name, destinations)]:
            await self._targets.pop(name).close()
        # Stored between: the runs that have just ended may have finished more than what was read above.
        counts = self._journal.backlogs()
        for run, progress in self._journal.runs():
            destination = destinations.get(run.destination_id)
            if run.key not in self._runs and destination is not None and destination.is_enabled:
                self._start_run(run, progress, destination, counts.get(run.destination_id))
        requests = self._journal.test_requests(list(destinations), limit=MAXIMUM_TESTS - len(self._tests))
        for request in requests:
            self._journal.end_test(request.key)
            self._start_test(request, destinations[request.destination_id])

    def _is_used(self, name: str, destinations: dict[str, Destination]) -> bool:
        users = [*(run.destination for run, _ in self._runs.values()), *self._tests.values()]
        return name in destinations and destinations[name] in users

    def _target(self, destination: Destination) -> Target:
        name = destination.destination_id
        if name not in self._targets:
            self._targets[name] = new_target(
                destination, denied=self._denied, timeout_seconds=self._settings.timeout_seconds
            )
        return self._targets[name]

    def _start_run(self, run: Run, progress: Progress, destination: Destination, counts: Backlog | None) -> None:
        schedule = DeliverySchedule(
            progress,
            limits=ScheduleLimits(max_age_ms=self._settings.max_age_ms, max_in_flight=CALLS_PER_RUN[destination.kind]),
            random=random.random,
            since_ms=run.since_ms,
        )
        delivery = DeliveryRun(
            run,
            destination,
            schedule,
            source=self._source,
            target=self._target(destination),
            journal=self._journal,
            now_ms=self._now_ms,
            on_noted=self._wake.set,
            counts=counts or Backlog(destination_id=destination.destination_id),
        )
        task = asyncio.create_task(self._run(delivery))
        self._runs[run.key] = (delivery, task)
        task.add_done_callback(_exit_if_failed)

    async def _run(self, delivery: DeliveryRun) -> None:
        """Serve a run. A replay that is complete is removed once its last deliveries are stored."""
        await delivery.serve()
        self._store()
        del self._runs[delivery.run.key]
        self._journal.end_run(delivery.run.key)

    async def _end_runs(self, keys: list[int]) -> None:
        if not keys:
            return
        ended = [self._runs.pop(key) for key in keys]
        # All at once, before this task waits: a run that is complete removes itself.
        for _, task in ended:
            task.cancel()
        await asyncio.wait([task for _, task in ended])
        for run, _ in ended:
            run.store_progress()
        self._journal.flush({})

    def _start_test(self, request: SampleRequest, destination: Destination) -> None:
        target = self._target(destination)
        test = deliver_test(request, destination, target=target, journal=self._journal, now_ms=self._now_ms)
        task = asyncio.create_task(test)
        self._tests[task] = destination
        task.add_done_callback(self._end_test)

    def _end_test(self, task: asyncio.Task[None]) -> None:
        """Store the outcome. The reload starts a test that waits, and closes a target that is no longer used."""
        del self._tests[task]
        self._must_reload = True
        self._wake.set()


def _exit_if_failed(task: asyncio.Task[None]) -> None:
    """End the process if one of its tasks has failed; the server starts it again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the delivery process failed", exc_info=error)
        # The log line is sent by the event loop before that.
        asyncio.get_running_loop().call_later(STORE_INTERVAL_SECONDS, os._exit, 1)


async def serve(control_socket: socket.socket) -> int:
    """Deliver until Stop, or until the server closes the control socket. Returns the exit code."""
    return await run_worker(control_socket, receive_command, _make_worker)


def _make_worker(command: DeliveryCommand, reports: ReportWriter) -> DeliveryWorker | None:
    return DeliveryWorker(command, reports.send) if isinstance(command, StartDelivery) else None


def _drop_rights() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS failed")


def main() -> int:
    """Run the process. The server receives the signals of a terminal too, and decides when its processes stop."""
    _drop_rights()
    if importlib.util.find_spec("sniffio") is None:
        # httpcore tries to import this optional module several times for each request, and each failed search reads
        # all folders of modules. None makes it fail at once (Python's reference, "The module cache").
        sys.modules["sniffio"] = None  # type: ignore[assignment]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control_socket = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(control_socket))


if __name__ == "__main__":
    sys.exit(main())
