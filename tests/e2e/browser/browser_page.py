"""Pages of the browser, each in its own context, with its own cookies, cache and permissions."""

import asyncio
import contextlib
import time
from typing import Any, TypeAlias

from playwright.async_api import Browser, BrowserContext, Error, Page

from tests.e2e.browser.chromium import new_context

DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.1

Json: TypeAlias = Any
"""The result of a script."""


class BrowserPage:
    """One page. `diagnosis` is a script whose result is shown when a condition does not become true."""

    diagnosis = "() => document.title"

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page

    async def run(self, expression: str, argument: Json = None) -> Json:
        """Evaluate a script in the page and return its result. Raises playwright's Error for what it throws."""
        return await self.page.evaluate(expression, argument)

    async def wait_until(self, condition: str, argument: Json = None) -> None:
        """Wait until a script's result is true. Fails at the deadline, with the result of `diagnosis`.

        Playwright's `wait_for_function` regards the promise of an asynchronous script as true.
        """
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while not await self.run(condition, argument):
            if time.monotonic() > deadline_seconds:
                raise AssertionError(f"not true in time: {condition} ({argument})\n{await self.run(self.diagnosis)}")
            await asyncio.sleep(POLL_SECONDS)

    async def crash(self) -> None:
        """Kill the page's process, without any message to the server."""
        async with self.page.expect_event("crash"):
            with contextlib.suppress(Error):  # a crashed page does not reply
                await self.page.goto("chrome://crash")


class PageOpener:
    """Opens and closes pages. An uncaught error in a page fails the test, unless its text contains `expected_error`."""

    expected_error: str | None = None

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._errors: list[str] = []

    async def open(self, address: str) -> tuple[BrowserContext, Page]:
        """Open a page in a new context."""
        context = await new_context(self._browser)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", self._on_error)
        await page.goto(address)
        return context, page

    async def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            await context.close()
        assert self._errors == [], self._errors

    def _on_error(self, error: Error) -> None:
        if self.expected_error is None or self.expected_error not in str(error):
            self._errors.append(str(error))
