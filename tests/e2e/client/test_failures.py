"""Failures of the network and the server: both participants come back by themselves, in Chromium and Firefox."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.client.client_tab import ClientTab, ClientTabs
from tests.e2e.client.conftest import ANY_ADDRESS
from tests.e2e.client.cuttable_proxy import CuttableProxy, running_proxy
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, start_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

IS_CONNECTED = (
    "() => [stage, ...stage.subscriptions.values(), stage.publication].every((each) => each.state === 'connected')"
)


async def start(data: Path, proxy: CuttableProxy) -> RunningServer:
    """Start a server, or the next one on the same data folder, behind the proxy."""
    return await asyncio.to_thread(
        start_server,
        data,
        listen=f"127.0.0.1:{proxy.server_port}",
        public_url=proxy.address,
        media_bind=ANY_ADDRESS,
        session_linger_seconds="60",
    )


class Call:
    """Two participants who publish and watch each other through a proxy."""

    def __init__(
        self, server: RunningServer, proxy: CuttableProxy, stage: StageHandle, tabs: tuple[ClientTab, ClientTab]
    ) -> None:
        self.server = server
        self.stage = stage
        self.proxy = proxy
        self.tabs = tabs

    @property
    def engine_process_id(self) -> int:
        """The process of the first media engine."""
        line = next(line for line in self.server.log.splitlines() if "media engine runs" in line)
        return int(line.rpartition("process_id=")[2].split()[0])

    async def wait_for_media(self) -> None:
        """Wait until all connections are connected, and more media was shown on both sides."""
        for tab, other in (self.tabs, self.tabs[::-1]):
            await tab.wait_until(IS_CONNECTED)
            await tab.wait_for_media(other.participant_id)


@pytest_asyncio.fixture(loop_scope="session")
async def call(tmp_path: Path, tabs: ClientTabs) -> AsyncIterator[Call]:
    async with running_proxy() as proxy:
        server = await start(tmp_path / "data", proxy)
        stage = await asyncio.to_thread(StageHandle, server)
        call = Call(server, proxy, stage, await join_both(stage, tabs))
        try:
            await call.wait_for_media()
            yield call
        finally:
            await asyncio.to_thread(call.server.stop)


async def join_both(stage: StageHandle, tabs: ClientTabs) -> tuple[ClientTab, ClientTab]:
    ann, bob = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    for tab in (ann, bob):
        await tab.join()
        await tab.publish()
    for tab, other in ((ann, bob), (bob, ann)):
        await tab.wait_for_event("publishstarted", other.participant_id)
        await tab.subscribe(other.participant_id)
    return ann, bob


async def test_a_websocket_that_is_cut_is_opened_again(call: Call) -> None:
    call.proxy.cut()
    for tab in call.tabs:
        await tab.wait_for_event("statechange", "reconnecting")
    await call.wait_for_media()
    for tab, other in (call.tabs, call.tabs[::-1]):
        events = await call.stage.events(tab.participant_id)
        assert events == ["JOINED", "PUBLISH_STARTED", ("SUBSCRIBE_STARTED", other.participant_id)]
        assert await tab.run("() => seen.filter(([type]) => type === 'participantleft')") == []


async def test_a_server_that_was_killed_and_started_again(call: Call) -> None:
    call.server.kill()
    call.proxy.cut()
    for tab in call.tabs:
        await tab.wait_for_event("statechange", "reconnecting")
    call.server = await start(call.server.data, call.proxy)
    await call.wait_for_media()


async def test_a_server_that_was_stopped_and_started_again(call: Call) -> None:
    await asyncio.to_thread(call.server.stop)
    for tab in call.tabs:
        await tab.wait_for_event("statechange", "reconnecting")
    call.server = await start(call.server.data, call.proxy)
    await call.wait_for_media()


async def test_a_media_engine_that_crashed(call: Call) -> None:
    os.kill(call.engine_process_id, signal.SIGKILL)
    for tab, other in (call.tabs, call.tabs[::-1]):
        await tab.wait_for_event("subscriptionchange", other.participant_id, "waiting", None)
    await call.wait_for_media()
