"""One history process as the server sees it."""

import asyncio
import contextlib
import os
import socket
import sys

import structlog

from stagebook.book.book_source import BookSource
from stagebook.history.processes.history_messages import LENGTH_SIZE_BYTES, STOP_FRAME, source_frame
from stagebook.media.worker.least_rights import worker_environment

MODULE = "stagebook.history.processes.history_process"
END_SECONDS = 1.0
"""How long a process may take to exit after its socket was closed before it is killed."""

_log = structlog.get_logger(__name__)


class ProcessEndedError(Exception):
    """The process ended before it replied."""


class RunningProcess:
    """A process, which is started by the first `exchange`. `end` must be called in the end."""

    def __init__(self, source: BookSource) -> None:
        self._source = source
        self._process: asyncio.subprocess.Process | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def process_id(self) -> int | None:
        """The process id, None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether the process was started and has exited."""
        return self._process is not None and self._process.returncode is not None

    async def exchange(self, frame: bytes) -> bytes:
        """Send a request and return the body of the reply. Raises ProcessEndedError."""
        try:
            reader, writer = self._streams or await self._start()
            writer.write(frame)
            await writer.drain()
            length = int.from_bytes(await reader.readexactly(LENGTH_SIZE_BYTES), "big")
            return await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            _log.error("a history process exited", process=self.process_id)
            raise ProcessEndedError from error

    def stop_read(self) -> None:
        """Ask the process to stop the read that it runs. The reply still comes."""
        if self._streams is not None and not self._streams[1].is_closing():
            self._streams[1].write(STOP_FRAME)

    def close(self) -> None:
        """Close the socket, so that the process exits."""
        if self._streams is not None:
            self._streams[1].close()

    async def end(self) -> None:
        """End the process and wait for its exit. It is killed if it does not exit when its socket is closed."""
        self.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _start(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        near, far = socket.socketpair()
        try:
            with far:
                # -P: do not import modules from the working directory. All other descriptors are closed, so the process
                # has no listen socket. In a session of its own it gets no signal of a terminal.
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", MODULE, str(far.fileno())),
                    pass_fds=(far.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                    env=worker_environment(os.environ),
                )
            self._streams = await asyncio.open_unix_connection(sock=near)
            self._streams[1].write(source_frame(self._source))
        except BaseException:
            near.close()  # A process that was started after all exits when its socket closes.
            raise
        return self._streams
