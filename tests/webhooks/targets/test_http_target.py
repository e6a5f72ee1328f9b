"""Delivery to HTTP endpoints: what counts as success, what a failure says, and the bounds."""

import asyncio
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from stagebook.data_folder.rtmps_certificate import new_certificate_key, self_signed_certificate
from stagebook.webhooks.delivery_outcome import Delivered, Failed, Outcome
from stagebook.webhooks.targets.http_target import MAXIMUM_RESPONSE_SIZE_BYTES, HttpTarget
from stagebook.webhooks.targets.target import OutgoingMessage
from stagebook.webhooks.targets.target_addresses import ADDRESS_SECONDS, CheckedTransport, Network
from tests.webhooks.destinations import destination
from tests.webhooks.receiver import Answer, Delivery, Receiver

BODY = b'{"a":1}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@asynccontextmanager
async def target(
    url: str, *, timeout_seconds: float = 30.0, denied: tuple[Network, ...] = ()
) -> AsyncIterator[HttpTarget]:
    made = HttpTarget(destination(target=url), denied=denied, timeout_seconds=timeout_seconds, connections=2)
    yield made
    await made.close()


def message(number: int = 1) -> OutgoingMessage:
    return OutgoingMessage(
        event_id=f"id-{number}",
        session_id="st-1",
        body=BODY,
        content_type="application/json",
        time_s=int(time.time()),
    )


async def deliver(url: str, *, timeout_seconds: float = 30.0, denied: tuple[Network, ...] = ()) -> Outcome:
    async with target(url, timeout_seconds=timeout_seconds, denied=denied) as made:
        (outcome,) = await made.deliver([message()])
        return outcome


async def test_a_delivery_is_a_signed_post(receiver: Receiver) -> None:
    assert await deliver(receiver.url) == Delivered(status=204)
    (found,) = receiver.accepted  # the receiver has verified the signature
    assert json.dumps(found.body, separators=(",", ":")).encode() == BODY
    assert found.headers["webhook-id"] == "id-1"
    assert found.headers["content-type"] == "application/json"
    assert found.headers["host"] == receiver.url.split("/")[2]


async def test_connections_are_used_again(receiver: Receiver) -> None:
    async with target(receiver.url) as made:
        for number in range(5):
            assert await made.deliver([message(number)]) == [Delivered(status=204)]
    assert receiver.connections == 1


@pytest.mark.parametrize("status", [200, 202, 299])
async def test_every_2xx_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: Answer(status)
    assert await deliver(receiver.url) == Delivered(status=status)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 500])
async def test_every_other_status_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: Answer(status, {"location": f"{receiver.url}/other"}, b"why\n not")
    outcome = await deliver(receiver.url)
    assert outcome == Failed(reason=f"the endpoint answered {status}: why  not", status=status)
    assert len(receiver.deliveries) == 1, "a redirect was followed"


async def test_410_means_gone(receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(410)
    outcome = await deliver(receiver.url)
    assert isinstance(outcome, Failed)
    assert outcome.is_gone


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (429, "7", 7_000),
        (503, "0", 0),
        (429, "Fri, 31 Dec 1999 23:59:59 GMT", 0),
        (429, "soon", None),
        (429, "-5", None),
        (429, "1" * 400, 111_111_111_000),
        (500, "7", None),
    ],
)
async def test_a_pause_that_the_endpoint_asks_for(
    receiver: Receiver, status: int, value: str, expected: int | None
) -> None:
    receiver.answer = lambda _: Answer(status, {"retry-after": value})
    outcome = await deliver(receiver.url)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_ms == expected


async def test_an_endpoint_that_is_not_there(receiver: Receiver) -> None:
    receiver.stop()
    outcome = await deliver(receiver.url)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("ConnectError")
    receiver.start()


async def test_an_endpoint_that_closes_the_connection(receiver: Receiver) -> None:
    receiver.answer = lambda _: None
    outcome = await deliver(receiver.url)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("RemoteProtocolError")


def serve_bytes(serve: Callable[[socket.socket], None]) -> str:
    """Serve one connection with raw bytes; return its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listening:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                serve(connection)

    threading.Thread(target=run, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/"


async def test_an_endpoint_that_sends_byte_after_byte_is_cut_off() -> None:
    """Each byte is in time for the timeout of a read. The delivery as a whole has its own."""
    stopped = threading.Event()

    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
            while not stopped.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            pass

    outcome = await deliver(serve_bytes(drip), timeout_seconds=0.3)
    stopped.set()
    assert outcome == Failed(reason="no response within 0.3 s")


async def test_the_timeout_does_not_count_the_wait_for_a_connection(receiver: Receiver) -> None:
    """A replay beside the live deliveries makes more of them than there are connections."""
    stopped = threading.Event()

    def hang_but_for_the_third(delivery: Delivery) -> Answer:
        if delivery.headers["webhook-id"] != "id-3":
            stopped.wait(60)
        return Answer()

    receiver.answer = hang_but_for_the_third
    async with target(receiver.url, timeout_seconds=2.0) as made:
        outcomes = await asyncio.gather(*(made.deliver([message(number)]) for number in (1, 2, 3)))
    stopped.set()
    late = [Failed(reason="no response within 2 s")]
    assert outcomes == [late, late, [Delivered(status=204)]]


async def test_a_long_response_is_not_read_to_its_end() -> None:
    sent: list[int] = []

    def flood(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
            while len(sent) < 1_000:
                connection.sendall(bytes(65_536))
                sent.append(65_536)
        except OSError:
            pass

    assert await deliver(serve_bytes(flood)) == Delivered(status=200)
    assert sum(sent) < 200 * MAXIMUM_RESPONSE_SIZE_BYTES


@pytest.mark.parametrize("response", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000])
async def test_a_malformed_response_is_a_failure(response: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(response)

    assert isinstance(await deliver(serve_bytes(answer)), Failed)


async def test_a_denied_address_is_not_connected_to(receiver: Receiver) -> None:
    denied = (ipaddress.ip_network("127.0.0.0/8"),)
    outcome = await deliver(receiver.url, denied=denied)
    assert isinstance(outcome, Failed)
    assert "webhook_denied_networks" in outcome.reason
    assert not receiver.deliveries


async def test_a_name_is_resolved_and_checked(receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "localhost")
    both = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    assert isinstance(await deliver(url, denied=both), Failed)
    assert isinstance(await deliver(url, denied=both[1:]), Delivered)
    assert receiver.accepted[0].headers["host"].startswith("localhost:")


async def test_a_checked_address_is_used_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    now = 0.0

    def answer(request: httpx.Request) -> httpx.Response:
        found.append(request.url.host)
        return httpx.Response(204)

    transport = CheckedTransport(
        httpx.MockTransport(answer),
        denied=(),
        monotonic=lambda: now,
    )
    async with httpx.AsyncClient(transport=transport) as http:
        await http.get("http://localhost:1/")
        # The next answer of the resolver would be another address.
        monkeypatch.setattr(socket, "getaddrinfo", other_address)
        await http.get("http://localhost:1/")
        now = ADDRESS_SECONDS
        await http.get("http://localhost:1/")
    assert found[0] in {"127.0.0.1", "::1"}
    assert found[1:] == [found[0], "192.0.2.1"]


def other_address(*_arguments: object, **_options: object) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 1))]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for `localhost` with its key, in one file."""
    key = new_certificate_key()
    path = tmp_path / "certificate.pem"
    path.write_bytes(self_signed_certificate(key, hosts=["localhost"], now=datetime.now(UTC)) + key)
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Receiver(tls=context) as receiver:
        yield receiver


async def test_a_certificate_is_checked_against_the_name_of_the_target(
    secure: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = secure.url.replace("127.0.0.1", "localhost")
    unknown = await deliver(by_name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await deliver(by_name) == Delivered(status=204)
    other_name = await deliver(secure.url)
    for outcome in (unknown, other_name):
        assert isinstance(outcome, Failed)
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason
    assert len(secure.accepted) == 1


async def test_a_resolver_that_hangs_holds_up_its_own_target_only(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, stopped = socket.getaddrinfo, threading.Event()

    def resolve(host: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the function of the system
        if host == "hangs.example":
            stopped.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return original(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with (
        target("http://hangs.example/") as hanging,
        target(receiver.url.replace("127.0.0.1", "localhost")) as good,
    ):
        waiting = [asyncio.create_task(hanging.deliver([message(number)])) for number in range(40)]
        await asyncio.sleep(0)
        assert await good.deliver([message()]) == [Delivered(status=204)]
        assert not any(task.done() for task in waiting)
        stopped.set()
        outcomes = await asyncio.gather(*waiting)
    assert all(isinstance(outcome, Failed) for (outcome,) in outcomes)


async def test_a_name_that_does_not_resolve() -> None:
    outcome = await deliver("http://name.invalid/")
    assert isinstance(outcome, Failed)
    assert "does not resolve" in outcome.reason
