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
    window.received = [];
    window.opened = 0;
    const source = new EventSource(url);
    source.onopen = () => { window.opened += 1; };
    source.onmessage = (message) => {
        window.received.push(JSON.parse(message.data).id);
        window.lastEventId = message.lastEventId;
    };
    source.addEventListener("disconnect", (message) => { window.lastEventId = message.lastEventId; });
}"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


async def start(data: Path, port: int) -> RunningServer:
    return await asyncio.to_thread(start_server, data, listen=f"127.0.0.1:{port}", auth="off")


async def test_a_browser_follows_over_restarts_by_itself(tmp_path: Path, browser: Browser) -> None:
    data, port = tmp_path / "data", free_port()
    server = await start(data, port)
    maker = EventMaker(server)
    maker.make(3)
    context = await browser.new_context()
    try:
        page = BrowserPage(context, await context.new_page())
        page.diagnosis = "() => [window.opened, window.received.length]"
        await page.page.goto(server.endpoint_url)
        # The id that the page gives is older than the one that the browser sends when it connects again.
        await page.run(FOLLOW, f"/watch/v1/events/stream?name=PUBLISH_ERROR&lastEventId={position_id(0)}")
        await page.wait_until("(count) => window.received.length >= count", 3)
        for run in (1, 2):
            maker.make(2)
            await asyncio.to_thread(server.kill if run == 1 else server.stop)
            server = await start(data, port)
            maker.on(server).make(2)
            await page.wait_until("(count) => window.received.length >= count", 3 + 4 * run)
            assert await page.run("() => window.opened") == run + 1
        assert await page.run("() => window.received") == recorded_ids(data)
    finally:
        maker.close()
        await context.close()
        await asyncio.to_thread(server.stop)
