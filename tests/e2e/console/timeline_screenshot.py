"""The picture of the timeline, from a real session of some seconds."""

import asyncio
import contextlib
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.clients.events_client import connect_events_client
from tests.clients.stage_client import OfferRefusedError, new_peer_connection, offer, token_payload
from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage, open_console
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

PAUSE_SECONDS = 2.0
"""Between two events of the story, so that the picture shows their order."""


async def take_timeline(browser: Browser, server: RunningServer, key: str, path: Path) -> None:
    """Let participants come and go, and save the picture while some are there."""
    stage = StageHandle(server, arn=server.client().create_stage(name="quiz-night")["stage"]["arn"])

    async def joined(user_id: str, source: str = "Test picture") -> ConsolePage:
        console = await participants.enter_async_context(open_console(browser, server.endpoint_url))
        await console.sign_in(key)
        await console.join(stage, user_id=user_id, source=source)
        await asyncio.sleep(PAUSE_SECONDS)
        return console

    async with contextlib.AsyncExitStack() as participants:
        await joined("ann")
        bob = await joined("bob")
        await joined("carla", source="Nothing")
        await fail_to_publish(stage, user_id="felix")
        await _visit(stage, user_id="dmitri")
        await bob.page.get_by_role("button", name="Leave").click()
        await asyncio.sleep(PAUSE_SECONDS)
        await _visit(stage, user_id="grace")
        async with open_console(browser, server.endpoint_url) as console:
            await console.sign_in(key)
            await console.open(f"#/sessions/{await stage.session_id()}")
            await expect(console.page.get_by_role("button", name="grace:")).to_be_visible(timeout=TIMEOUT_MS)
            await console.page.get_by_role("button", name="felix:").click()
            await asyncio.sleep(PAUSE_SECONDS)
            await console.page.get_by_role("region", name="Timeline").screenshot(path=path)
    print(path)


async def fail_to_publish(stage: StageHandle, *, user_id: str) -> None:
    """Write a PUBLISH_ERROR: the token may only watch."""
    _, token = await stage.token("SUBSCRIBE", userId=user_id)
    connection = new_peer_connection()
    for kind in ("audio", "video"):
        connection.addTransceiver(kind, direction="sendonly")
    with contextlib.suppress(OfferRefusedError):
        await offer(connection, token_payload(token)["whip_url"], token)
    await connection.close()


async def _visit(stage: StageHandle, *, user_id: str) -> None:
    _, token = await stage.token(userId=user_id)
    async with connect_events_client(token):
        await asyncio.sleep(PAUSE_SECONDS)
