"""An encoder process: ffmpeg or GStreamer, started by a documented shell command."""

import asyncio
import os
import signal
from collections.abc import Mapping

END_TIMEOUT_SECONDS = 25.0


class Encoder:
    """An encoder process. Its standard error is collected in `errors`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._written = bytearray()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: str, *, variables: Mapping[str, str]) -> "Encoder":
        """Start a shell command with these additional environment variables, which it can refer to as `$NAME`."""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"exec {command}"),
            env={**os.environ, **variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process)

    @property
    def errors(self) -> str:
        """The standard error of the process so far."""
        return self._written.decode(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    async def wait_until_ended(self) -> str:
        """Wait until the process ends by itself; return its standard error. Raises AssertionError after the timeout."""
        try:
            await asyncio.wait_for(self._process.wait(), END_TIMEOUT_SECONDS)
        except TimeoutError:
            raise AssertionError(f"the encoder is still running:\n{self.errors}") from None
        await self._reading
        return self.errors

    def freeze(self) -> None:
        """Stop the process with SIGSTOP. It sends no more data but keeps its connection open."""
        self._process.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        """End the process with SIGINT, as Ctrl-C does. It ends its stream cleanly."""
        await self._end(signal.SIGINT)

    async def kill(self) -> None:
        """End the process with SIGKILL. It may have ended already."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        if self.is_running:
            self._process.send_signal(number)
        await self.wait_until_ended()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4_096):
            self._written += data
