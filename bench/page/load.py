"""The load generator, a process of its own: keep-alive connections that send the next request once they have an answer.

    python -m bench.page.load < job > result

It counts only what was asked and answered inside the window, and reads the server's CPU clock at both ends of it.
"""

import asyncio
import sys
import time

import msgspec
import uvloop

from bench.figures import percentile
from bench.machine import cpu_seconds
from bench.page.answers import AnswerError, answer_size

WARM_UP_SECONDS = 0.3
_OK = b"HTTP/1.1 200"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send where, for how long. Each connection starts at another place of `requests` and goes round."""

    host: str
    port: int
    process_id: int
    connections: int
    seconds: float
    requests: list[bytes]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came back in the window."""

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
    """What all connections share: when times count, and the times."""

    def __init__(self) -> None:
        self.counts = False
        self.over = False
        self.latencies: list[float] = []
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
        """Send the first request, which is number `first`."""
        self._transport = transport
        self._next = first
        self._send()

    def data_received(self, data: bytes) -> None:
        """Collect an answer; when it is whole, send the next request."""
        buffer = self._buffer + data if self._buffer else data
        try:
            size = answer_size(buffer)
            if size is None or len(buffer) < size:
                self._buffer = buffer
                return
            if len(buffer) > size or not buffer.startswith(_OK):
                raise AnswerError(repr(buffer[:500]))
        except AnswerError as error:
            self._fail(error)
            return
        self._buffer = b""
        if self._window.counts:
            self._window.latencies.append(time.perf_counter() - self._sent_at)
        if not self._window.over:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends before the window is a failure."""
        if not self._window.over:
            self._fail(exc or ConnectionError("the server closed a connection"))

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)

    def _fail(self, error: Exception) -> None:
        if not self._window.failure.done():
            self._window.failure.set_exception(error)


async def run(job: Job) -> Result:
    """Load the server. Raises AnswerError or ConnectionError if anything but 200 comes back."""
    loop, window = asyncio.get_running_loop(), Window()
    connections = []
    for number in range(job.connections):
        transport, connection = await loop.create_connection(
            lambda: Connection(window, job.requests), job.host, job.port
        )
        connection.start(transport, first=number * len(job.requests) // job.connections)
        connections.append(connection)
    await _wait(WARM_UP_SECONDS, window)
    window.counts = True
    cpu, start = cpu_seconds(job.process_id), time.perf_counter()
    await _wait(job.seconds, window)
    seconds, used = time.perf_counter() - start, cpu_seconds(job.process_id) - cpu
    window.counts, window.over = False, True
    for connection in connections:
        connection.close()
    milliseconds = [latency * 1_000 for latency in window.latencies]
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
    """Read a job, write its result."""
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(run(job))))


if __name__ == "__main__":
    main()
