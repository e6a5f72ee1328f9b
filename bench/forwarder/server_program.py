"""The program of another server, as a child process that listens on ports of the loopback interface."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

_START_TIMEOUT_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 0.1


@asynccontextmanager
async def running_program(*command: str, port: int, folder: Path) -> AsyncIterator[int]:
    """Run a program until the end of the context. The value is its process id, once it listens on the TCP port.

    `folder` is its working directory. Janus leaves a core dump there if it crashes. Raises TimeoutError if the program
    does not start.
    """
    process = await asyncio.create_subprocess_exec(*command, cwd=folder)
    try:
        await _wait_until_open(port)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _wait_until_open(port: int) -> None:
    async with asyncio.timeout(_START_TIMEOUT_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(_RETRY_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports that are free at the time of the call."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in listening]
    finally:
        for each in listening:
            each.close()
