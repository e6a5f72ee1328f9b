"""The load generator, a separate process. Each keep-alive connection sends its next request after a response.

    python -m bench.page.load_generator < job > result

Only responses within the measurement window are counted. The CPU clock of the server is read at both ends of it.
"""

import asyncio
import sys
import time

import msgspec
import uvloop

from bench.figures import percentile
from bench.machine import cpu_seconds
from bench.page.responses import ResponseError, response_size

WARM_UP_SECONDS = 0.3
_OK = b"HTTP/1.1 200"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A load: the server, the requests and the duration. Connections cycle through `requests` at different offsets."""

    host: str
    port: int
    process_id: int
    connections: int
    seconds: float
    requests: list[bytes]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The responses in the window, and the CPU time that the server used in it."""

    requests: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """The server's CPU time for one request, in microseconds."""
        return self.cpu_seconds / self.requests * 1e6


class Window:
    """The state that all connections share: whether latencies are counted, and the latencies in seconds."""

    def __init__(self) -> None:
        self.is_counting = False
        self.is_over = False
        self.latencies_seconds: list[float] = []
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    _transport: asyncio.WriteTransport

    def __init__(self, window: Window, requests: list[bytes]) -> None:
        self._window = window
        self._requests = requests
        self._next = 0
        self._buffer = b""
        self._sent_at = 0.0

    def start(self, transport: asyncio.WriteTransport, *, first: int) -> None:
        """Send the first request, `requests[first]`."""
        self._transport = transport
        self._next = first
        self._send()

    def data_received(self, data: bytes) -> None:
        """Collect a response. When it is complete, send the next request."""
        buffer = self._buffer + data if self._buffer else data
        try:
            size = response_size(buffer)
            if size is None or len(buffer) < size:
                self._buffer = buffer
                return
            if len(buffer) > size or not buffer.startswith(_OK):
                raise ResponseError(repr(buffer[:500]))
        except ResponseError as error:
            self._fail(error)
            return
        self._buffer = b""
        if self._window.is_counting:
            self._window.latencies_seconds.append(time.perf_counter() - self._sent_at)
        if not self._window.is_over:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if the connection ends before the window does."""
        if not self._window.is_over:
            self._fail(exc or ConnectionError("the server closed a connection"))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)

    def _fail(self, error: Exception) -> None:
        if not self._window.failure.done():
            self._window.failure.set_exception(error)


async def run(job: Job) -> Result:
    """Load the server. Raises ResponseError for a response without status 200, and ConnectionError."""
    loop, window = asyncio.get_running_loop(), Window()
    connections = []
    for number in range(job.connections):
        transport, connection = await loop.create_connection(
            lambda: Connection(window, job.requests), job.host, job.port
        )
        connection.start(transport, first=number * len(job.requests) // job.connections)
        connections.append(connection)
    await _wait(WARM_UP_SECONDS, window)
    window.is_counting = True
    cpu, start = cpu_seconds(job.process_id), time.perf_counter()
    await _wait(job.seconds, window)
    seconds, used = time.perf_counter() - start, cpu_seconds(job.process_id) - cpu
    window.is_counting, window.is_over = False, True
    for connection in connections:
        connection.close()
    milliseconds = [latency * 1_000 for latency in window.latencies_seconds]
    return Result(
        requests=len(milliseconds),
        seconds=seconds,
        cpu_seconds=used,
        p50_ms=percentile(milliseconds, 50),
        p99_ms=percentile(milliseconds, 99),
    )


async def _wait(seconds: float, window: Window) -> None:
    done, _ = await asyncio.wait([window.failure], timeout=seconds)
    if done:
        window.failure.result()


def main() -> None:
    """Read a job from standard input and write its result to standard output."""
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(run(job))))


if __name__ == "__main__":
    main()
