"""A tab with the open client, in either browser. The page's script (pages/client.js) holds the stage as `stage`."""

import asyncio
import contextlib
import time
from typing import Any, Protocol, TypeAlias

from playwright.async_api import Browser, Page

from tests.clients.stage_client import token_payload
from tests.e2e.browser.chromium import new_context
from tests.e2e.client.bidi_connection import BidiConnection

DEADLINE_SECONDS = 40.0
POLL_SECONDS = 0.1
MORE_FRAMES = 5
MORE_SECONDS = 0.2

Json: TypeAlias = Any


class Tab(Protocol):
    """What the tests need of a browser's tab."""

    async def run(self, script: str, argument: Json = None) -> Json:
        """Call a JavaScript function and return its awaited result."""
        ...

    async def close(self) -> None:
        """Close the tab as a user does: the page is hidden first."""
        ...


class ChromiumTab:
    """A tab of its own context."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def run(self, script: str, argument: Json = None) -> Json:
        """See Tab."""
        return await self._page.evaluate(script, argument)

    async def close(self) -> None:
        """See Tab."""
        if not self._page.is_closed():
            await self._page.close(run_before_unload=False)
            await self._page.context.close()


class FirefoxTab:
    """A browsing context."""

    def __init__(self, connection: BidiConnection, context: str) -> None:
        self._connection = connection
        self._context = context

    async def run(self, script: str, argument: Json = None) -> Json:
        """See Tab."""
        return await self._connection.run(self._context, script, argument)

    async def close(self) -> None:
        """See Tab."""
        await self._connection.command("browsingContext.close", context=self._context)


async def open_tab(browser: Browser | BidiConnection, address: str, *, is_steady: bool = True) -> Tab:
    """Open an address in a new tab, and wait until it is loaded. `is_steady` is that of `new_context`."""
    if isinstance(browser, BidiConnection):
        context = (await browser.command("browsingContext.create", type="window"))["context"]
        await browser.command("browsingContext.navigate", context=context, url=address, wait="complete")
        return FirefoxTab(browser, context)
    page = await (await new_context(browser, is_steady=is_steady)).new_page()
    await page.goto(address)
    return ChromiumTab(page)


class ClientTab:
    """A participant."""

    def __init__(self, tab: Tab, token: str) -> None:
        self.tab = tab
        self.token = token
        self.participant_id: str = token_payload(token)["jti"]

    async def run(self, script: str, argument: Json = None) -> Json:
        """Call a JavaScript function and return its awaited result."""
        return await self.tab.run(script, argument)

    async def wait_until(self, condition: str, argument: Json = None) -> None:
        """Wait until a function's result is true. Fails at the deadline, with the events that the page has seen."""
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while not await self.run(condition, argument):
            if time.monotonic() > deadline_seconds:
                seen = await self.run("async () => globalThis.stage && [seen, stage.state, await stats()]")
                raise AssertionError(f"not true in time: {condition} ({argument})\n{seen}")
            await asyncio.sleep(POLL_SECONDS)

    async def join(self, **options: Json) -> None:
        """Join the stage."""
        await self.run("([token, options]) => join(token, options)", [self.token, options])

    async def publish(self, **options: Json) -> None:
        """Publish the fake camera and microphone."""
        await self.run("(options) => publish(options)", options)

    async def subscribe(self, participant_id: str, **options: Json) -> None:
        """Subscribe to a publisher, and show it."""
        await self.run("([id, options]) => subscribe(id, options)", [participant_id, options])

    async def error_code(self, script: str, argument: Json = None) -> str:
        """Return the code with which a function's promise is rejected."""
        call = f"async (argument) => {{ try {{ await ({script})(argument); }} catch (error) {{ return error.code; }} }}"
        code: str = await self.run(call, argument)
        return code

    async def wait_for_event(self, *event: Json) -> None:
        """Wait until the stage has dispatched an event: its type and details, as client.js notes them."""
        await self.wait_until("(event) => seen.some((each) => JSON.stringify(each) === JSON.stringify(event))", event)

    async def wait_for_media(self, participant_id: str) -> None:
        """Wait until the video element of a publisher has shown and played more than now."""
        before = await self.run("(id) => progress(id)", participant_id)
        await self.wait_until(
            "async ([id, frames, seconds]) => { const [f, s] = await progress(id); return f > frames && s > seconds; }",
            [participant_id, before[0] + MORE_FRAMES, before[1] + MORE_SECONDS],
        )

    async def close(self) -> None:
        """Close the tab as a user does."""
        await self.tab.close()

    async def leave(self) -> None:
        """Leave the stage."""
        await self.run("() => stage.leave()")


class ClientTabs:
    """Opens tabs, and closes them at the end of a test."""

    def __init__(self, browser: Browser | BidiConnection, address: str) -> None:
        self._browser = browser
        self._address = address
        self._tabs: list[Tab] = []

    async def open(self, token: str, *, address: str | None = None) -> ClientTab:
        """Open a tab for a participant, at another address than that of the tests' page if one is given."""
        tab = await open_tab(self._browser, address or self._address)
        self._tabs.append(tab)
        return ClientTab(tab, token)

    async def close(self) -> None:
        """Close all tabs. An uncaught error in a page fails the test."""
        errors = []
        for tab in self._tabs:
            with contextlib.suppress(Exception):  # a test may have closed it
                errors += await tab.run("() => uncaught")
                await tab.close()
        assert errors == []
