"""A history process: runs the reads that the server sends, one at a time, with low priority.

It is started as `python -m <module> <file descriptor of its socket>`. The first message says where the book is: that of
a database can contain a password, which a command line would show. The process exits when the server closes the socket,
so it never outlives the server, even if the server was killed. It ignores SIGINT, SIGTERM and SIGHUP: the server
receives these signals too, and decides when its processes stop.

While a read runs, anything that arrives on the socket ends it: a request to stop, or the end of the stream.
"""

import os
import select
import signal
import socket
import sys
import time

from stagebook.book.book_source import BookSource
from stagebook.history.history_files import HistoryFiles
from stagebook.history.processes.history_messages import (
    LENGTH_SIZE_BYTES,
    ReadDone,
    ReadFailed,
    ReadRequest,
    decode,
    reply_frame,
)
from stagebook.stage.errors import ServerBusyError

NICENESS = 10
"""Reads get the processor time that media, appends and pages of events leave over."""


class TurnClock:
    """Says when the read that runs must stop: after its time, or when something arrives on the socket."""

    def __init__(self, control_socket: socket.socket) -> None:
        self._arrivals = select.poll()
        self._arrivals.register(control_socket, select.POLLIN)
        self._end_seconds = 0.0
        self.is_over = False

    def start(self, seconds: float) -> None:
        """A read begins that may take `seconds`."""
        self._end_seconds = time.monotonic() + seconds
        self.is_over = False

    def must_stop(self) -> bool:
        """Return whether the read must stop."""
        self.is_over = self.is_over or time.monotonic() >= self._end_seconds or bool(self._arrivals.poll(0))
        return self.is_over


class ReadRunner:
    """Runs reads. The files are opened for the first one, so that its caller gets the error if they cannot be."""

    def __init__(self, source: BookSource, clock: TurnClock) -> None:
        self._source = source
        self._clock = clock
        self._files: HistoryFiles | None = None

    def run(self, request: ReadRequest) -> ReadDone | ReadFailed:
        """Return the reply to a request."""
        self._clock.start(request.seconds)
        try:
            if self._files is None:
                self._files = HistoryFiles(
                    self._source, must_stop=self._clock.must_stop, statement_seconds=request.seconds
                )
            return ReadDone(value=request.read(self._files, *request.args, **request.kwargs))
        except Exception as error:  # noqa: BLE001 - the server raises it again
            # A database ends a statement by itself, after the same time.
            if self._clock.must_stop():
                detail = f"the read took longer than {request.seconds:g} s: narrow the query"
                return ReadFailed.of(ServerBusyError(detail))
            return ReadFailed.of(error)


def serve(control_socket: socket.socket) -> None:
    """Answer requests until the server closes the socket."""
    stream = control_socket.makefile("rb", buffering=0)
    if (first := _receive(stream)) is None:
        return
    runner = ReadRunner(decode(first), TurnClock(control_socket))
    while (body := _receive(stream)) is not None:
        if body:
            control_socket.sendall(reply_frame(runner.run(decode(body))))


def _receive(stream: socket.SocketIO) -> bytes | None:
    """Return the body of the next message, None at the end of the stream."""
    head = _read_exactly(stream, LENGTH_SIZE_BYTES)
    return None if head is None else _read_exactly(stream, int.from_bytes(head, "big"))


def _read_exactly(stream: socket.SocketIO, size_bytes: int) -> bytes | None:
    parts: list[bytes] = []
    while size_bytes:
        part = stream.read(size_bytes)
        if not part:
            return None
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def main() -> int:
    """Run the process of this command line; return its exit code."""
    descriptor = int(sys.argv[1])
    # A terminal sends SIGINT and SIGHUP to the whole group, and a supervisor may send SIGTERM to all processes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    with socket.socket(fileno=descriptor) as control_socket:
        try:
            serve(control_socket)
        except OSError:
            # The server is gone: nobody reads the reply.
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
