"""The engine processes of a server: their start, with the first publisher or at once, and what they share.

All engines have one TCP port together, and one directory for the sockets of the media bus. Each has its own UDP port.
`engine_pool` decides which engine a request goes to.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable

import msgspec

from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.engine.shared_tcp_port import SharedTcpPort
from stagebook.media.rtc.engine_settings import MAX_ENGINES, EngineSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts


class EngineProcesses:
    """All engine processes of a server."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        processes: int,
        timeouts: WorkerTimeouts,
        user: ProcessUser | None,
        on_demand: bool,
        on_fact: Callable[[MediaFact], None],
        on_lost: Callable[[EngineWorker, frozenset[str]], None],
    ) -> None:
        """The processes run as `user`, or as this process's user. `on_fact` and `on_lost` are as in `EngineWorker`.

        Raises ValueError unless `processes` is from 1 to MAX_ENGINES.
        """
        if not 1 <= processes <= MAX_ENGINES:
            raise ValueError(f"processes: 1 to {MAX_ENGINES}")
        self._settings = settings
        self._tcp_port: SharedTcpPort | None = None
        self._user = user
        self._feed_directory: tempfile.TemporaryDirectory[str] | None = None
        self._is_on_demand = on_demand
        self._starting: asyncio.Task[None] | None = None
        """The start of the processes; None before it has begun."""
        self.engines = tuple(
            EngineWorker(
                msgspec.structs.replace(
                    settings,
                    udp_port=settings.udp_port + number if settings.udp_port else 0,
                    engine_number=number,
                ),
                number=number,
                on_fact=on_fact,
                on_lost=on_lost,
                timeouts=timeouts,
                user=user,
            )
            for number in range(processes)
        )
        """By number."""

    @property
    def tcp_port(self) -> int | None:
        """The TCP port of media after `start`; None without one."""
        return None if self._tcp_port is None else self._tcp_port.port

    @property
    def running(self) -> list[int]:
        """The numbers of the engines that run."""
        return [engine.number for engine in self.engines if engine.is_running]

    def describe(self) -> str:
        """The addresses and ports of media, for the operator: `127.0.0.1, UDP ports 40000, 40001, TCP port 40000`."""
        addresses = ", ".join(self._settings.bind_addresses)
        tcp = "" if self.tcp_port is None else f", TCP port {self.tcp_port}"
        if self._is_on_demand:
            return f"{addresses}, UDP ports once somebody publishes{tcp}"
        ports = ", ".join(str(engine.udp_port) for engine in self.engines)
        return f"{addresses}, UDP port{'s' if len(self.engines) > 1 else ''} {ports}{tcp}"

    async def start(self) -> None:
        """Bind the TCP port, and start all engines, side by side, unless they start on demand.

        Raises WorkerStartError; no engine is left running then.
        """
        self._bind_tcp()
        if not self._is_on_demand:
            await self._started()

    async def start_on_demand(self) -> None:
        """Start the engines for the first publisher. Raises MediaRefusedError (ENGINE_LOST)."""
        if not self._is_on_demand:
            return
        try:
            await self._started()
        except WorkerStartError as error:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=str(error)) from error

    async def stop(self) -> None:
        """Stop all engines. No facts are reported."""
        if self._starting is not None:
            self._starting.cancel()
        await self._stop_engines()

    def _bind_tcp(self) -> None:
        """Bind the TCP port if there is one, for all runs of the engines. Raises WorkerStartError."""
        port = self._settings.tcp_port
        if port is None:
            return
        try:
            self._tcp_port = SharedTcpPort(self._settings.bind_addresses, port, engines=len(self.engines))
        except OSError as error:
            addresses = ", ".join(self._settings.bind_addresses)
            raise WorkerStartError(
                f"media cannot be received on {addresses} TCP port {port}: {error.strerror}"
            ) from error
        for engine in self.engines:
            engine.use_tcp(self._tcp_port.descriptors(engine.number))

    async def _started(self) -> None:
        """Start the engines if nothing has started them yet, and wait until they have. Raises as `start`."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start_engines())
        await asyncio.shield(self._starting)

    async def _start_engines(self) -> None:
        """Also create the directory for the sockets of the media bus, which `stop` deletes."""
        # The directory has mode 0700. Its path is short, because a unix socket's path has at most 107 bytes.
        try:
            self._feed_directory = tempfile.TemporaryDirectory(prefix="stagebook-")
            if self._user is not None:
                os.chown(self._feed_directory.name, self._user.user_id, self._user.group_id)
        except OSError as error:
            raise WorkerStartError(f"cannot create a directory for encoder feeds: {error}") from error
        for engine in self.engines:
            engine.feed_directory = self._feed_directory.name
        try:
            await asyncio.gather(*(engine.start() for engine in self.engines))
        except BaseException:
            await self._stop_engines()
            raise

    async def _stop_engines(self) -> None:
        await asyncio.gather(*(engine.stop() for engine in self.engines))
        if self._feed_directory is not None:
            self._feed_directory.cleanup()
        if self._tcp_port is not None:
            self._tcp_port.close()
