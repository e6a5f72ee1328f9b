"""What is measured: a server with a book and the signed requests that go round on it, and the static server."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench.page.answers import Answer, AnswerError, answer_size, parse_answer
from bench.page.books import BookPlan, BusyParticipant, build_book
from bench.page.load import Job, Result
from bench.page.signed import PAGE_SIZE, deep_token, sign_pages
from bench.page.static import StaticAnswer
from stagebook.data_folder.secrets import DataFolder
from tests.e2e.server import RunningServer, run_server

DEEP_EVENTS = 400
"""How many newer events lie before a deep page."""
MAXIMUM_PARTICIPANTS = 200
_RECEIVE_SIZE_BYTES = 65_536
_TIMEOUT_SECONDS = 60.0
_BY_UVICORN = b"date"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A server that can be loaded: where it is, its process, and the requests it gets."""

    port: int
    process_id: int
    first_pages: list[bytes]
    deep_pages: list[bytes]

    @property
    def mixed_pages(self) -> list[bytes]:
        """First and deep pages in turns."""
        return [page for pair in zip(self.first_pages, self.deep_pages, strict=True) for page in pair]

    def load(self, requests: list[bytes], *, connections: int, seconds: float) -> Result:
        """Load the server from a process of its own."""
        job = Job(
            host="127.0.0.1",
            port=self.port,
            process_id=self.process_id,
            connections=connections,
            seconds=seconds,
            requests=requests,
        )
        command = [sys.executable, "-m", "bench.page.load"]
        done = subprocess.run(command, input=msgspec.msgpack.encode(job), stdout=subprocess.PIPE, check=True)
        return msgspec.msgpack.decode(done.stdout, type=Result)


def prepare_book(data: Path, plan: BookPlan) -> list[BusyParticipant]:
    """Make a data folder with a book of this plan; return the participants whose pages are asked for, far apart."""
    folder = DataFolder(data)
    folder.prepare()
    busy = build_book(folder.book_path, plan)
    return busy[:: max(len(busy) // MAXIMUM_PARTICIPANTS, 1)]


@contextmanager
def serving_book(data: Path, busy: Sequence[BusyParticipant]) -> Iterator[Subject]:
    """Serve the book and sign a first and a deep page for each participant."""
    with run_server(data, media_processes="1") as server:
        yield _subject(server, busy)


def _subject(server: RunningServer, busy: Sequence[BusyParticipant]) -> Subject:
    client = server.client()
    tokens = [deep_token(client, participant, events=DEEP_EVENTS) for participant in busy]
    pages = [*((one, None) for one in busy), *zip(busy, tokens, strict=True)]
    signed = sign_pages(client, pages)
    port = urlsplit(server.endpoint_url).port
    assert port is not None
    for (participant, _), request in zip(pages, signed, strict=True):
        check_page(exchange(port, request), participant)
    return Subject(
        port=port,
        process_id=server.process.pid,
        first_pages=signed[: len(busy)],
        deep_pages=signed[len(busy) :],
    )


@contextmanager
def serving_static(like: Subject) -> Iterator[Subject]:
    """Serve the answer that `like` gives to its first request, to every request."""
    real = exchange(like.port, like.first_pages[0])
    answer = StaticAnswer(headers=_sent_headers(real), body=real.body)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.page.static"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.msgpack.encode(answer))
        process.stdin.close()
        try:
            port = int(process.stdout.readline())
            assert len(exchange(port, like.first_pages[0]).body) == len(real.body)
            yield msgspec.structs.replace(like, port=port, process_id=process.pid)
        finally:
            process.terminate()


def _sent_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers but for that which uvicorn adds by itself."""
    lines = (line.partition(b":") for line in answer.head.split(b"\r\n")[1:])
    return [(name.lower(), value.strip()) for name, _, value in lines if name.lower() != _BY_UVICORN]


def exchange(port: int, request: bytes) -> Answer:
    """Send one request on a connection of its own and return its answer."""
    buffer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        while (size := answer_size(buffer)) is None or len(buffer) < size:
            received = connection.recv(_RECEIVE_SIZE_BYTES)
            if not received:
                raise AnswerError(f"the server closed the connection: {buffer[:500]!r}")
            buffer += received
    return parse_answer(buffer)


def check_page(answer: Answer, participant: BusyParticipant) -> None:
    """Raise AnswerError unless this is a full page of the participant's events, newest first."""
    page = msgspec.json.decode(answer.body)
    times = [event["eventTime"] for event in page.get("events", ())]
    own = all(event["participantId"] == participant.participant_id for event in page.get("events", ()))
    if answer.status != 200 or len(times) != PAGE_SIZE or times != sorted(times, reverse=True) or not own:
        raise AnswerError(f"not a page of {PAGE_SIZE} events: {answer.head!r} {answer.body[:500]!r}")
