"""The order of the requests of one connection, without a connection: the applications end when a test lets them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.server import ServerState

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.server.http.request_decoder import BodyPart
from stagebook.server.http.request_pipeline import PIPELINE_LIMIT, RequestPipeline
from tests.server.http.http_harness import read_body, respond

ALL = BodyPart(b"", is_last=True)


class RecordingTransport:
    """A transport that records what is written, and whether a request has closed it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def begin_response(self) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


class Requests:
    """A pipeline and its requests by name. A request is answered after `answer`, with its name as the body."""

    def __init__(self) -> None:
        self.recorded = RecordingTransport()
        self.state = ServerState()
        self.begun: list[str] = []
        self.disconnected: list[str] = []
        self.bodies: dict[str, bytes] = {}
        self._gates: dict[str, asyncio.Event] = {}
        transport: Any = self.recorded  # the part of asyncio.Transport that a request uses
        self.pipeline = RequestPipeline(
            transport=transport,
            flow=FlowControl(transport),
            server_state=self.state,
            loop=asyncio.get_running_loop(),
            on_response=self._on_response,
        )

    def add(self, name: str, *, keep_alive: bool = True, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self._gates[name] = asyncio.Event()
        scope = {"method": "GET", "http_version": "1.1", "headers": list(headers)}
        self.pipeline.add(scope, self._application(name), keep_alive=keep_alive)

    def _application(self, name: str) -> Application:
        async def application(_scope: Scope, receive: Receive, send: Send) -> None:
            self.begun.append(name)
            try:
                self.bodies[name] = await read_body(receive)
            except ConnectionError:
                self.disconnected.append(name)
                return
            await self._gates[name].wait()
            await respond(send, name.encode())

        return application

    def _on_response(self) -> None:
        self.pipeline.serve_next()

    async def answer(self, name: str) -> None:
        self._gates[name].set()
        await self.settle()

    async def settle(self) -> None:
        """Let the applications run until all of them wait."""
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def requests() -> AsyncIterator[Requests]:
    requests = Requests()
    yield requests
    await requests.settle()
    requests.pipeline.disconnect()
    await requests.settle()


async def test_a_request_is_served_when_those_before_it_are_answered(requests: Requests) -> None:
    for name in ("a", "b", "c"):
        requests.add(name)
        requests.pipeline.add_body(ALL)
    await requests.settle()
    assert requests.begun == ["a"]
    await requests.answer("b")  # "b" has not begun, so nothing happens
    await requests.answer("a")
    assert requests.begun == ["a", "b", "c"]
    await requests.answer("c")
    bodies = [response.rpartition(b"\r\n\r\n")[2] for response in requests.recorded.written.split(b"HTTP/1.1 ")[1:]]
    assert bodies == [b"a", b"b", b"c"]
    assert requests.pipeline.is_answered


async def test_a_pipeline_is_full_at_the_limit_and_not_before(requests: Requests) -> None:
    requests.add("served")
    for number in range(PIPELINE_LIMIT):
        assert not requests.pipeline.is_full
        requests.add(f"waiting-{number}")
    assert requests.pipeline.is_full
    requests.pipeline.serve_next()
    assert not requests.pipeline.is_full


async def test_a_body_goes_to_the_newest_request(requests: Requests) -> None:
    requests.add("a")
    requests.pipeline.add_body(ALL)
    requests.add("b")
    requests.pipeline.add_body(BodyPart(b"hel", is_last=False))
    requests.pipeline.add_body(BodyPart(b"lo", is_last=True))
    await requests.answer("a")
    assert requests.bodies == {"a": b"", "b": b"hello"}


async def test_the_body_of_an_answered_request_is_dropped(requests: Requests) -> None:
    requests.add("a")
    requests.pipeline.add_body(ALL)
    await requests.answer("a")
    requests.pipeline.add_body(BodyPart(b"x" * (HIGH_WATER_LIMIT + 1), is_last=False))
    assert not requests.pipeline.is_body_full


async def test_a_body_is_full_above_the_high_water_limit(requests: Requests) -> None:
    requests.add("a")
    requests.pipeline.add_body(BodyPart(b"x" * HIGH_WATER_LIMIT, is_last=False))
    assert not requests.pipeline.is_body_full
    requests.pipeline.add_body(BodyPart(b"x", is_last=False))
    assert requests.pipeline.is_body_full


async def test_a_withdrawn_request_that_waits_is_never_served(requests: Requests) -> None:
    requests.add("a")
    requests.pipeline.add_body(ALL)
    requests.add("b")
    assert requests.pipeline.withdraw_newest()
    requests.add("error")
    requests.pipeline.add_body(ALL)
    await requests.settle()
    await requests.answer("a")
    assert requests.begun == ["a", "error"]


async def test_a_withdrawn_request_that_is_served_notices_it_and_the_next_one_does_not_wait(
    requests: Requests,
) -> None:
    requests.add("a")
    await requests.settle()
    assert requests.pipeline.withdraw_newest()
    requests.add("error")
    await requests.settle()
    assert (requests.begun, requests.disconnected) == (["a", "error"], ["a"])


async def test_a_request_whose_response_has_begun_cannot_be_withdrawn(requests: Requests) -> None:
    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await receive()

    requests.pipeline.add({"method": "GET", "headers": []}, application, keep_alive=True)
    await requests.settle()
    assert not requests.pipeline.withdraw_newest()


async def test_a_disconnect_reaches_the_served_request_and_drops_those_that_wait(requests: Requests) -> None:
    for name in ("a", "b", "c"):
        requests.add(name)
    await requests.settle()
    requests.pipeline.disconnect()
    await requests.settle()
    assert (requests.begun, requests.disconnected) == (["a"], ["a"])
    assert not requests.pipeline.serve_next()
    assert requests.state.tasks == set()


async def test_the_response_to_the_newest_request_can_be_made_the_last_one(requests: Requests) -> None:
    requests.add("a")
    requests.pipeline.add_body(ALL)
    requests.pipeline.end_after_newest()
    assert requests.pipeline.is_ending
    await requests.answer("a")
    assert requests.recorded.is_closed


async def test_only_a_request_that_expects_100_continue_has_it_offered(requests: Requests) -> None:
    requests.add("a", headers=((b"expect", b"100-Continue"),))
    assert requests.pipeline.is_continue_offered
    requests.add("b", headers=((b"expect", b"something"),))
    assert not requests.pipeline.is_continue_offered


async def test_a_request_is_the_newest_until_another_one_arrives(requests: Requests) -> None:
    requests.add("a")
    assert requests.pipeline.is_newest_served
    requests.add("b")
    assert not requests.pipeline.is_newest_served
