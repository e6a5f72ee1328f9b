"""Joining a stage: each source is published by one browser and watched by another.

Chromium publishes H.264, which a Firefox without its plugin for it cannot watch, so Firefox watches Firefox.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.client.bidi_connection import BidiConnection
from tests.e2e.client.client_tab import open_tab
from tests.e2e.console.both_browsers import ConsoleTab
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]

SHOWS_VIDEO = """(name) => [...document.querySelectorAll("video")].some((video) =>
    video.getAttribute("aria-label") === `Video of ${name}` && video.videoWidth > 0 && video.currentTime > 0.5)"""
SHOWS_STATISTICS = """() => {
    const text = document.querySelector("main table")?.textContent ?? "";
    return /bit.s/.test(text) && /\\d+ × \\d+/.test(text) && /\\d ms/.test(text) && /H264|VP8/.test(text);
}"""


class Participants:
    """Tabs with an operator who has signed in, closed at the end of a test."""

    def __init__(self, browsers: dict[str, Browser | BidiConnection], server: RunningServer, key: str) -> None:
        self._browsers = browsers
        self._address = f"{server.endpoint_url}/console/"
        self._key = key
        self.tabs: list[ConsoleTab] = []

    async def join(self, browser: str, stage: StageHandle, *, user_id: str, source: str) -> ConsoleTab:
        """Join the stage in a new tab."""
        tab = ConsoleTab(await open_tab(self._browsers[browser], self._address))
        self.tabs.append(tab)
        await tab.sign_in(self._key)
        await tab.go(f"#/stages/{stage.stage_id}/join", "Join test")
        await tab.fill("User id", user_id)
        await tab.tab.run("(source) => document.querySelector(`input[value=${source}]`).click()", source)
        await tab.press("Join")
        await tab.wait_until("() => Boolean(named('button', 'Leave'))")
        return tab


@pytest_asyncio.fixture(loop_scope="session")
async def participants(
    browser: Browser, firefox: BidiConnection, server: RunningServer, operator_key: str
) -> AsyncIterator[Participants]:
    participants = Participants({"chromium": browser, "firefox": firefox}, server, operator_key)
    yield participants
    found = [await tab.uncaught() for tab in participants.tabs]
    for tab in participants.tabs:
        await tab.tab.close()
    assert [each for each in found if each] == []


@pytest.mark.parametrize("source", ["picture", "camera"])
@pytest.mark.parametrize(
    ("publisher", "viewer"), [("chromium", "chromium"), ("firefox", "firefox"), ("firefox", "chromium")]
)
async def test_a_browser_publishes_and_another_watches(
    participants: Participants, stage: StageHandle, publisher: str, viewer: str, source: str
) -> None:
    await converse(participants, stage, publisher, viewer, source)


async def test_chromium_publishes_its_screen(participants: Participants, stage: StageHandle) -> None:
    await converse(participants, stage, "chromium", "chromium", "screen")


async def converse(participants: Participants, stage: StageHandle, publisher: str, viewer: str, source: str) -> None:
    """One publishes and stops its video, the other sees it."""
    publishing = await participants.join(publisher, stage, user_id="ann", source=source)
    watching = await participants.join(viewer, stage, user_id="bob", source="none")
    await watching.wait_until(SHOWS_VIDEO, "ann")
    await watching.wait_until(SHOWS_STATISTICS)
    await publishing.wait_until(SHOWS_STATISTICS)
    await publishing.press("Stop the video")
    await watching.wait_until("() => document.querySelector('.videos').textContent.includes('video stopped')")
    await publishing.press("Leave")
    await watching.wait_until("() => document.querySelectorAll('video').length === 0")
    await watching.press("Leave")
