"""A load balancer in a thread: TCP connections, each to the next node that accepts one."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self


class SmallBalancer:
    """Listens on a free port between entering and leaving. `ports` returns the nodes of the moment."""

    port: int

    def __init__(self, ports: Callable[[], Sequence[int]]) -> None:
        self._ports = ports
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            node, to_node = await self._connect()
        except OSError:
            to_client.close()
            return
        await asyncio.gather(_copy(client, to_node), _copy(node, to_client))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the next node; to another one if that is refused. Raises OSError if all refuse."""
        ports = self._ports()
        self._turn += 1
        for number in range(len(ports)):
            try:
                return await asyncio.open_connection("127.0.0.1", ports[(self._turn + number) % len(ports)])
            except OSError:
                continue
        raise ConnectionRefusedError


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
