"""The console in Chromium, with checks of what no page may do: fail, break its own policy, or call another host."""

import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, StorageState, expect

from tests.e2e.participants.stage_handle import StageHandle

TIMEOUT_MS = 20_000
CLIPBOARD = ["clipboard-read", "clipboard-write"]
WATCH_VIOLATIONS = """
    addEventListener("securitypolicyviolation", ({ effectiveDirective }) => console.error("CSP", effectiveDirective));
"""


class ConsolePage:
    """A tab with the console."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self.base_url = base_url
        self.faults: list[str] = []
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("console", self._on_message)
        page.on("request", self._on_request)

    def _on_message(self, message: ConsoleMessage) -> None:
        # A refused request is an answer that the page shows.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.base_url, "blob:", "data:")):
            self.faults.append(f"a request to another host: {request.url}")

    async def open(self, fragment: str = "") -> None:
        """Open an address of the console, `#/events` for instance."""
        await self.page.goto(f"{self.base_url}/console/{fragment}")

    async def sign_in(self, key: str) -> None:
        """Sign in and wait for the overview."""
        await self.open()
        await self.page.get_by_label("Key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.heading("Overview")

    async def join(self, stage: StageHandle, *, user_id: str, source: str = "Test picture") -> None:
        """Join a stage from this browser."""
        await self.open(f"#/stages/{stage.stage_id}/join")
        await self.page.get_by_label("User id").fill(user_id)
        await self.page.get_by_role("radio", name=source).check()
        await self.page.get_by_role("button", name="Join", exact=True).click()
        await expect(self.page.get_by_role("button", name="Leave")).to_be_visible(timeout=TIMEOUT_MS)

    async def until(self, element: Locator, condition: str) -> None:
        """Wait until a function of an element returns true."""
        handle = await element.element_handle()
        await self.page.wait_for_function(condition, arg=handle)

    async def heading(self, text: str) -> None:
        """Wait for the heading of a page."""
        await expect(self.page.get_by_role("heading", level=1, name=text)).to_be_visible(timeout=TIMEOUT_MS)

    async def copied(self, button: str) -> str:
        """Press a button that copies, and return the content of the clipboard."""
        await self.page.get_by_role("button", name=button, exact=True).click()
        await expect(self.page.get_by_role("status").filter(has_text="Copied")).to_be_visible(timeout=TIMEOUT_MS)
        text: str = await self.page.evaluate("navigator.clipboard.readText()")
        return text

    async def confirm(self, button: str) -> None:
        """Press a button of the open dialog, and wait until the dialog has closed."""
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name=button, exact=True).click()
        await expect(dialog).to_have_count(0, timeout=TIMEOUT_MS)


@contextlib.asynccontextmanager
async def open_console(
    browser: Browser,
    base_url: str,
    *,
    scheme: str = "light",
    width: int = 1_280,
    signed_in: StorageState | None = None,
) -> AsyncIterator[ConsolePage]:
    """Open a new context, empty or with the cookie of somebody who has signed in.

    `scheme` is the system's, light or dark; `width` is that of the page in pixels.
    """
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        viewport={"width": width, "height": 800},
        storage_state=signed_in,
        permissions=[*CLIPBOARD, "camera", "microphone"],
    )
    await context.add_init_script(WATCH_VIOLATIONS)
    console = ConsolePage(await context.new_page(), base_url)
    try:
        yield console
    finally:
        await context.close()
    assert console.faults == []
