"""An encoder: ffmpeg or GStreamer as a process of its own, started by the shell command that a person would type."""

import asyncio
import os
import signal
from collections.abc import Mapping

ENDING_SECONDS = 25.0


class Encoder:
    """One encoder's process. `errors` is what it has written to its standard error so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._written = bytearray()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: str, *, variables: Mapping[str, str]) -> "Encoder":
        """Start a shell command with these environment variables; `$NAME` in it stands for a variable's words."""
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
        """Everything it has said so far."""
        return self._written.decode(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def wait_until_ended(self) -> str:
        """Wait until it ends by itself; return what it said. Raises AssertionError if it goes on."""
        try:
            await asyncio.wait_for(self._process.wait(), ENDING_SECONDS)
        except TimeoutError:
            raise AssertionError(f"the encoder goes on:\n{self.errors}") from None
        await self._reading
        return self.errors

    def freeze(self) -> None:
        """Make it send nothing more without closing its connection, as a network that is cut does."""
        self._process.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        """End it as a person does: by Ctrl-C, so that it says goodbye."""
        await self._end(signal.SIGINT)

    async def kill(self) -> None:
        """End it as a crash does. An encoder that has ended is fine."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        if self.is_running:
            self._process.send_signal(number)
        await self.wait_until_ended()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(4_096):
            self._written += piece
