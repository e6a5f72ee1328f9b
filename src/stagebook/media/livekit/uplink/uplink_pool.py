"""All uplink processes as one: each source is published by one process, the one with the fewest sources."""

import asyncio
import os
import tempfile
from collections.abc import Callable

from stagebook.media.livekit.uplink.uplink_messages import UplinkSettings
from stagebook.media.livekit.uplink.uplink_worker import UplinkWorker
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

MAX_UPLINK_PROCESSES = 64


class UplinkPool:
    """The uplink processes of a server."""

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        processes: int,
        user: ProcessUser | None = None,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
    ) -> None:
        """The processes start with the first encoder, and run as `user`, or as this process's user.

        Raises ValueError unless `processes` is from 1 to MAX_UPLINK_PROCESSES.
        """
        if not 1 <= processes <= MAX_UPLINK_PROCESSES:
            raise ValueError(f"processes: 1 to {MAX_UPLINK_PROCESSES}")
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None
        self._on_connected: Callable[[str], None] = lambda _source_id: None
        self._on_lost: Callable[[str, frozenset[str]], None] = lambda _source_id, _connection_ids: None
        self._user = user
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._workers = [
            UplinkWorker(
                settings,
                number=number,
                on_fact=lambda fact: self._on_fact(fact),
                on_connected=lambda source_id: self._on_connected(source_id),
                on_lost=self._handle_loss,
                timeouts=timeouts,
                user=user,
            )
            for number in range(processes)
        ]

    @property
    def workers(self) -> tuple[UplinkWorker, ...]:
        """The processes, by number."""
        return tuple(self._workers)

    def listen(
        self,
        on_fact: Callable[[MediaFact], None],
        *,
        on_connected: Callable[[str], None],
        on_lost: Callable[[str, frozenset[str]], None],
    ) -> None:
        """Set the listeners: for Connected and SourceMeasured of feeds, for each source that LiveKit has connected, and
        for each one that is lost, with its feeds. Their connections have ended."""
        self._on_fact = on_fact
        self._on_connected = on_connected
        self._on_lost = on_lost

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool, token: str) -> FeedTicket:
        """Allow an encoder's connection to feed a source, which is published with the access token of its first feed.

        Connected is reported once LiveKit has connected the source. Raises MediaRefusedError (BUSY, ENGINE_LOST).
        """
        try:
            await self._started()
        except WorkerStartError as error:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=str(error)) from error
        worker = self._place(source_id)
        if worker is None:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="no uplink process is running")
        return await worker.open_feed(
            connection_id=connection_id, source_id=source_id, is_redundant=is_redundant, token=token
        )

    def close(self, *, connection_id: str) -> str | None:
        """Close a feed. Return its source if that has no feed any more. Unknown ids are ignored."""
        ended = [worker.close(connection_id) for worker in self._workers]
        return next((source_id for source_id in ended if source_id is not None), None)

    def end_source(self, *, source_id: str) -> None:
        """End a source with its feeds. No fact about them is reported after this. Unknown ids are ignored."""
        for worker in self._workers:
            worker.end_source(source_id)

    async def stop(self) -> None:
        """Stop all processes. No facts are reported."""
        if self._starting is not None:
            self._starting.cancel()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        if self._directory is not None:
            self._directory.cleanup()

    async def _started(self) -> None:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        # The directory has mode 0700. Its path is short, because a unix socket's path has at most 107 bytes.
        try:
            self._directory = tempfile.TemporaryDirectory(prefix="stagebook-")
            if self._user is not None:
                os.chown(self._directory.name, self._user.user_id, self._user.group_id)
        except OSError as error:
            raise WorkerStartError(f"cannot create a directory for encoder feeds: {error}") from error
        for worker in self._workers:
            worker.feed_directory = self._directory.name
        await asyncio.gather(*(worker.start() for worker in self._workers))

    def _place(self, source_id: str) -> UplinkWorker | None:
        running = [worker for worker in self._workers if worker.is_running]
        own = next((worker for worker in self._workers if source_id in worker.sources), None)
        if own is not None:
            return own if own in running else None
        return min(running, key=lambda worker: len(worker.sources), default=None)

    def _handle_loss(self, source_id: str, _detail: str) -> None:
        for worker in self._workers:
            feed_ids = worker.sources.pop(source_id, None)
            if feed_ids is not None:
                self._on_lost(source_id, frozenset(feed_ids))
