"""The browser: an installed Chromium, headless, with a fake camera and a fake microphone."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",  # for a machine without a network
)


STEADY_BITRATE = Path(__file__).parent / "pages" / "steady_bitrate.js"


def find_chromium() -> str | None:
    """Return the path of an installed Chromium; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextlib.asynccontextmanager
async def running_chromium(path: str, *arguments: str) -> AsyncIterator[Browser]:
    """Run a browser with a new, empty profile. `arguments` are further ones of its command line."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=(*ARGUMENTS, *arguments))
        try:
            yield browser
        finally:
            await browser.close()


async def new_context(browser: Browser, *, is_steady: bool = True) -> BrowserContext:
    """Return a new context, with its own cookies and permissions, whose pages do not change with the machine's load.

    No check sees a page in the middle of an animation. The bitrate of what a page publishes is steady, unless a test
    says otherwise because the browser's own estimate matters.
    """
    context = await browser.new_context(reduced_motion="reduce")
    if is_steady:
        await context.add_init_script(path=STEADY_BITRATE)
    return context
