"""Every page in both browsers and both themes: axe-core finds nothing, and nothing is wider than a phone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.clients.events_client import connect_events_client
from tests.e2e.client.bidi_connection import BidiConnection
from tests.e2e.client.client_tab import open_tab
from tests.e2e.console.both_browsers import ConsoleTab
from tests.e2e.console.console_page import open_console
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]

PHONE_WIDTH = 360
THEMES = ("light", "dark")


@pytest.fixture(params=["chromium", "firefox"])
def any_browser(request: pytest.FixtureRequest) -> Browser | BidiConnection:
    found: Browser | BidiConnection = request.getfixturevalue({"chromium": "browser"}.get(request.param, request.param))
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def tab(any_browser: Browser | BidiConnection, server: RunningServer) -> AsyncIterator[ConsoleTab]:
    opened = await open_tab(any_browser, f"{server.endpoint_url}/console/")
    yield ConsoleTab(opened)
    await opened.close()


async def story(stage: StageHandle) -> dict[str, str]:
    """Make a session, and return the addresses of all pages with their headings."""
    participant_id, token = await stage.token(userId="ann", attributes={"seat": "12"})
    async with connect_events_client(token):
        session_id = await stage.session_id()
    stage.ivs.create_ingest_configuration(stageArn=stage.arn, ingestProtocol="RTMPS", name="obs")
    base = f"#/stages/{stage.stage_id}"
    return {
        "#/": "Overview",
        base: "test",
        f"{base}/sessions": "test",
        f"{base}/compositions": "test",
        f"{base}/tokens": "test",
        f"{base}/ingest": "test",
        f"{base}/join": "Join test",
        f"#/sessions/{session_id}": f"Session {session_id}",
        f"{base}/sessions/{session_id}/participants/{participant_id}": "ann",
        "#/events": "Events",
        "#/webhooks": "Webhooks",
        "#/missing": "No such page",
    }


async def test_axe_finds_nothing(tab: ConsoleTab, stage: StageHandle, operator_key: str) -> None:
    pages = await story(stage)
    found = await tab.accessibility_violations()
    await tab.sign_in(operator_key)
    for fragment, heading in pages.items():
        await tab.go(fragment, heading)
        for theme in THEMES:
            await tab.use_theme(theme)
            found += await tab.accessibility_violations()
    await tab.go(f"#/stages/{stage.stage_id}/ingest", "test")
    for button in ("Create an ingest key", "Delete the ingest key obs", "Delete the stage"):
        await tab.press(button)
        found += await tab.accessibility_violations()
        await tab.press("Cancel")
    await tab.go(f"#/stages/{stage.stage_id}/tokens", "test")
    await tab.press("Create the token")
    await tab.press("QR code")
    found += await tab.accessibility_violations()
    assert found == []
    assert await tab.uncaught() == []


async def test_nothing_is_wider_than_a_phone(
    browser: Browser, server: RunningServer, stage: StageHandle, operator_key: str
) -> None:
    pages = await story(stage)
    async with open_console(browser, server.endpoint_url, width=PHONE_WIDTH) as console:
        await console.sign_in(operator_key)
        for fragment, heading in pages.items():
            await console.open(fragment)
            await console.heading(heading)
            await console.page.wait_for_function("() => !document.querySelector('main .loading')")
            width = await console.page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE_WIDTH, fragment
