"""The configuration of the garbage collector, and what ended connections and requests leave to it."""

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import CoroutineType, FrameType

import httpx
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.media.port import RefusalReason
from stagebook.server.garbage_collection import COLLECTION_THRESHOLDS, tune_garbage_collection
from stagebook.stage.resources import Stage
from tests.api.aws.asgi_harness import Request, new_api, signed, signed_call
from tests.manager.manager_harness import ManagerHarness, running_manager
from tests.server.http.test_websocket_protocol import running_server

TIMES = 3
PUBLISHER, VIEWER = "aaaa.bbbb.pub1", "aaaa.bbbb.view"
"""Tokens, whose participants are `pub1` and `view`."""


def test_existing_objects_are_frozen_and_the_thresholds_are_raised() -> None:
    before = gc.get_threshold()
    gc.unfreeze()  # what the run of the tests has frozen
    try:
        tune_garbage_collection()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == COLLECTION_THRESHOLDS
    finally:
        gc.freeze()
        gc.set_threshold(*before)


def test_a_collection_of_the_youngest_generation_is_short() -> None:
    """It has at most so many objects: those of some 16 requests with a traceback, and less than 2 ms of work."""
    assert COLLECTION_THRESHOLDS[0] <= 1_000


class RunningApis:
    """The two APIs behind the HTTP server, and the clients of the tests. These block, each in a thread."""

    def __init__(self, port: int, harness: ManagerHarness, stage: Stage) -> None:
        self.url = f"127.0.0.1:{port}"
        self.harness = harness
        self.stage = stage

    async def whip(self, token: str, *, path: str = "", body: str = "offer", method: str = "POST") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp", "Connection": "close"}
        url = f"http://{self.url}/whip{path}"
        return await asyncio.to_thread(httpx.request, method, url, content=body, headers=headers)

    async def aws(self, request: Request) -> httpx.Response:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        url = f"http://{self.url}{request.raw_path.decode()}"
        return await asyncio.to_thread(httpx.post, url, content=request.body, headers=headers | {"Connection": "close"})

    async def watch(self, token: str, use: Callable[[ClientConnection], object]) -> None:
        """Open the events websocket of a token, wait for its first message, use it, and close it."""

        def run() -> None:
            url = f"ws://{self.url}/events/{self.stage.arn.rpartition('/')[2]}"
            with connect(url, subprotocols=[Subprotocol(token)], proxy=None) as socket:
                socket.recv()
                use(socket)

        await asyncio.to_thread(run)

    async def publish(self) -> str:
        """Publish and connect; return the connection id."""
        response = await self.whip(PUBLISHER)
        connection_id = response.headers["location"].rpartition("/")[2]
        self.harness.engine.connect(connection_id)
        return connection_id


@asynccontextmanager
async def running_apis(folder: Path) -> AsyncIterator[RunningApis]:
    async with running_manager(folder / "book.sqlite3") as harness:
        stage = await harness.stage()
        for token in (PUBLISHER, VIEWER):
            harness.tokens.known[token] = harness.claims(stage, token.rpartition(".")[2])
        participants, aws = ParticipantsApi(harness.manager.participants), new_api()

        async def route(scope: Scope, receive: Receive, send: Send) -> None:
            await (participants if ParticipantsApi.serves(scope) else aws)(scope, receive, send)

        async with running_server(route) as port:
            yield RunningApis(port, harness, stage)


async def websocket(apis: RunningApis) -> None:
    await apis.watch(VIEWER, lambda socket: socket.ping())


async def lost_websocket(apis: RunningApis) -> None:
    await apis.watch(VIEWER, lambda socket: socket.close_socket())


def ask(socket: ClientConnection, message: str | bytes) -> None:
    """Send a message and wait for the next message of the server."""
    socket.send(message)
    socket.recv()


async def refused_message(apis: RunningApis) -> None:
    with contextlib.suppress(WebSocketException):
        await apis.watch(VIEWER, lambda socket: ask(socket, b"binary"))


async def refused_exchange(apis: RunningApis) -> None:
    for token in ("aaaa.bbbb.none", VIEWER):
        message = json.dumps({"type": "EXCHANGE_TOKEN", "token": token})
        await apis.watch(VIEWER, partial(ask, message=message))


async def refused_websocket(apis: RunningApis) -> None:
    with contextlib.suppress(WebSocketException):
        await apis.watch("aaaa.bbbb.none", lambda _: None)


async def deleted_publication(apis: RunningApis) -> None:
    connection_id = await apis.publish()
    assert (await apis.whip(PUBLISHER, path=f"/resource/{connection_id}", method="DELETE")).status_code == 200


async def lost_publication(apis: RunningApis) -> None:
    apis.harness.engine.lose(await apis.publish())


async def subscription(apis: RunningApis) -> None:
    connection_id = await apis.publish()
    assert (await apis.whip(VIEWER, path="/subscribe/pub1")).status_code == 201
    apis.harness.engine.lose(connection_id)


async def unknown_publisher(apis: RunningApis) -> None:
    assert (await apis.whip(VIEWER, path="/subscribe/nobody")).status_code == 404


async def refused_offer(apis: RunningApis) -> None:
    for reason in RefusalReason:
        apis.harness.engine.refuse = reason
        assert (await apis.whip(PUBLISHER)).status_code >= 400


async def refused_requests(apis: RunningApis) -> None:
    for path, body, method in (("", "x" * 100_000, "POST"), ("/resource/none", "", "DELETE"), ("/none", "", "GET")):
        assert (await apis.whip(PUBLISHER, path=path, body=body, method=method)).status_code >= 400
    assert (await apis.whip("aaaa.bbbb.none")).status_code == 401


async def aws_errors(apis: RunningApis) -> None:
    for request in (signed("POST", "/GetStage", body=b"{"), signed_call("GetStage", {"arn": "x"}, secret="wrong")):
        assert (await apis.aws(request)).status_code >= 400


async def encoders(apis: RunningApis) -> None:
    harness = apis.harness
    configuration = await harness.configuration(apis.stage, insecure=False)
    harness.engine.lose(await harness.publish_rtmp(configuration.stream_key))
    await harness.refused_encoder(configuration.stream_key, is_secure=False)
    await harness.refused_encoder(configuration.stream_key[:-1])


KINDS = (
    websocket,
    lost_websocket,
    refused_message,
    refused_exchange,
    refused_websocket,
    deleted_publication,
    lost_publication,
    subscription,
    unknown_publisher,
    refused_offer,
    refused_requests,
    aws_errors,
    encoders,
)


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def left_to_the_collector() -> list[str]:
    """Return what the collector finds of the server: its values, its frames and its coroutines."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [name for each in gc.garbage if "stagebook" in (name := _name(each))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def _name(each: object) -> str:
    # By the exact type: `isinstance` asks a weak proxy for the class of an object that may be gone.
    if type(each) is FrameType:
        return f"{each.f_code.co_filename} {each.f_code.co_name}"
    if type(each) is CoroutineType:
        return f"{each.cr_code.co_filename} {each.cr_code.co_name}"
    return f"{type(each).__module__}.{type(each).__name__}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_nothing_of_what_has_ended_is_left_to_the_collector(
    tmp_path: Path, kind: Callable[[RunningApis], Awaitable[None]]
) -> None:
    async with running_apis(tmp_path) as apis:
        await kind(apis)  # fills caches
        with without_collector():
            for _ in range(TIMES):
                await kind(apis)
            await apis.harness.settled()
            # The newest connection may not have ended in the server yet; those before it have.
            assert left_to_the_collector() == []
