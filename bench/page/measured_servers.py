"""The measured servers: a real server with a book and signed requests for it, and the static server."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.page.books import BookPlan, BusyParticipant, build_book
from bench.page.load_generator import Job, Result
from bench.page.responses import Response, ResponseError, parse_response, response_size
from bench.page.signed_requests import PAGE_SIZE, deep_token, sign_pages
from bench.page.static_server import StaticResponse
from stagebook.data_folder.secrets import DataFolder
from tests.e2e.server import RunningServer, run_unchecked_server

DEEP_EVENTS = 400
"""Number of newer events before a deep page."""
MAXIMUM_PARTICIPANTS = 200
_RECEIVE_SIZE_BYTES = 65_536
_TIMEOUT_SECONDS = 60.0
_ADDED_BY_UVICORN = b"date"


class MeasuredServer(msgspec.Struct, frozen=True, kw_only=True):
    """A running server and the requests for it."""

    port: int
    process_id: int
    first_pages: list[bytes]
    deep_pages: list[bytes]

    @property
    def mixed_pages(self) -> list[bytes]:
        """Requests for first and deep pages, alternating."""
        return [page for pair in zip(self.first_pages, self.deep_pages, strict=True) for page in pair]

    def load(self, requests: list[bytes], *, connections: int, seconds: float) -> Result:
        """Load the server from a separate process."""
        job = Job(
            host="127.0.0.1",
            port=self.port,
            process_id=self.process_id,
            connections=connections,
            seconds=seconds,
            requests=requests,
        )
        command = [sys.executable, "-m", "bench.page.load_generator"]
        done = subprocess.run(command, input=msgspec.msgpack.encode(job), stdout=subprocess.PIPE, check=True)
        return msgspec.msgpack.decode(done.stdout, type=Result)


def prepare_book(data: Path, plan: BookPlan) -> list[BusyParticipant]:
    """Create a data folder with a book. Return the participants whose pages are requested, spread over the book."""
    folder = DataFolder(data)
    folder.prepare()
    busy = build_book(folder.book_path, plan)
    return busy[:: max(len(busy) // MAXIMUM_PARTICIPANTS, 1)]


@contextmanager
def serving_book(data: Path, busy: Sequence[BusyParticipant]) -> Iterator[MeasuredServer]:
    """Serve the book, with signed requests for a first and a deep page of each participant."""
    with run_unchecked_server(data, media_processes="1") as server:
        yield _measured_server(server, busy)


def _measured_server(server: RunningServer, busy: Sequence[BusyParticipant]) -> MeasuredServer:
    client = server.client()
    tokens = [deep_token(client, participant, events=DEEP_EVENTS) for participant in busy]
    pages = [*((one, None) for one in busy), *zip(busy, tokens, strict=True)]
    signed = sign_pages(client, pages)
    port = urlsplit(server.endpoint_url).port
    assert port is not None
    for (participant, _), request in zip(pages, signed, strict=True):
        check_page(exchange(port, request), participant)
    return MeasuredServer(
        port=port,
        process_id=server.process.pid,
        first_pages=signed[: len(busy)],
        deep_pages=signed[len(busy) :],
    )


@contextmanager
def serving_static(like: MeasuredServer) -> Iterator[MeasuredServer]:
    """Run the static server with the response of `like` to its first request."""
    real = exchange(like.port, like.first_pages[0])
    response = StaticResponse(headers=_sent_headers(real), body=real.body)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.page.static_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.msgpack.encode(response))
        process.stdin.close()
        try:
            port = int(process.stdout.readline())
            assert len(exchange(port, like.first_pages[0]).body) == len(real.body)
            yield msgspec.structs.replace(like, port=port, process_id=process.pid)
        finally:
            process.terminate()


def _sent_headers(response: Response) -> list[tuple[bytes, bytes]]:
    """Return the header fields of a response, except for the Date that uvicorn adds."""
    lines = (line.partition(b":") for line in response.head.split(b"\r\n")[1:])
    return [(name.lower(), value.strip()) for name, _, value in lines if name.lower() != _ADDED_BY_UVICORN]


def exchange(port: int, request: bytes) -> Response:
    """Send a request on a new connection and return the response."""
    buffer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        while (size := response_size(buffer)) is None or len(buffer) < size:
            received = connection.recv(_RECEIVE_SIZE_BYTES)
            if not received:
                raise ResponseError(f"the server closed the connection: {buffer[:500]!r}")
            buffer += received
    return parse_response(buffer)


def check_page(response: Response, participant: BusyParticipant) -> None:
    """Raise ResponseError unless this is a full page of the participant's events, newest first."""
    page = msgspec.json.decode(response.body)
    times = [event["eventTime"] for event in page.get("events", ())]
    own = all(event["participantId"] == participant.participant_id for event in page.get("events", ()))
    if response.status != 200 or len(times) != PAGE_SIZE or times != sorted(times, reverse=True) or not own:
        raise ResponseError(f"not a page of {PAGE_SIZE} events: {response.head!r} {response.body[:500]!r}")
