"""`EventSource` of Chromium: it connects again by itself over a kill of the server, and misses nothing."""

import asyncio
import socket
from pathlib import Path

import pytest
from playwright.async_api import Browser

from stagebook.book.event_id import position_id
from tests.e2e.browser.browser_page import BrowserPage
from tests.e2e.server import RunningServer, start_server
from tests.e2e.watch.event_maker import EventMaker, recorded_ids

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLLOW = """(url) => {
    const source = new EventSource(url);
    source.received = [];
    source.opened = 0;
    source.onopen = () => { source.opened += 1; };
    source.onmessage = (message) => { source.received.push(JSON.parse(message.data).id); };
    window.sources = [...(window.sources ?? []), source];
}"""
COUNTS = "() => window.sources.map((source) => [source.opened, source.received.length])"
ARE_RECEIVED = "(counts) => window.sources.every((source, number) => source.received.length >= counts[number])"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


async def start(data: Path, port: int) -> RunningServer:
    return await asyncio.to_thread(start_server, data, listen=f"127.0.0.1:{port}", auth="off")


@pytest.mark.slow
async def test_a_browser_follows_over_restarts_by_itself(tmp_path: Path, browser: Browser) -> None:
    data, port = tmp_path / "data", free_port()
    server = await start(data, port)
    maker = EventMaker(server)
    maker.make(3)
    context = await browser.new_context()
    try:
        page = BrowserPage(context, await context.new_page())
        page.diagnosis = COUNTS
        await page.page.goto(server.endpoint_url)
        # The id that the page gives is older than the one that the browser sends when it connects again.
        await page.run(FOLLOW, f"/watch/v1/events/stream?name=PUBLISH_ERROR&lastEventId={position_id(0)}")
        await page.wait_until(ARE_RECEIVED, [3])
        # Begins now, and receives no event before the server is killed.
        await page.run(FOLLOW, "/watch/v1/events/stream")
        await page.wait_until("() => window.sources[1].opened === 1")
        for run in (1, 2):
            if run == 2:
                maker.make(2)
            await asyncio.to_thread(server.kill if run == 1 else server.stop)
            server = await start(data, port)
            maker.on(server).make(2)
            recorded = recorded_ids(data)
            await page.wait_until(ARE_RECEIVED, [len(recorded), len(recorded) - 3])
            assert [opened for opened, _ in await page.run(COUNTS)] == [run + 1, run + 1]
        expected = [recorded, recorded[3:]]
        assert await page.run("() => window.sources.map((source) => source.received)") == expected
    finally:
        maker.close()
        await context.close()
        await asyncio.to_thread(server.stop)
