"""The browser: an installed Chromium, headless, with a fake camera and a fake microphone."""

import contextlib
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, async_playwright

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
