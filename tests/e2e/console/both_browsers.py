"""The console in Chromium or Firefox, through the part of both that is the same: a tab that runs scripts.

Elements are found as a user of a screen reader finds them: by role and name.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import axe_playwright_python

from tests.e2e.client.client_tab import Tab

DEADLINE_SECONDS = 40.0
POLL_SECONDS = 0.1
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"

# Half transparent text has less contrast. Endless animations, such as that of a spinner, go on.
END_ANIMATIONS = """() => {
    for (const animation of document.getAnimations()) {
        if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish();
    }
}"""

FIND = """
    globalThis.named = (selector, name) => [...document.querySelectorAll(selector)].find((element) => {
        const label = element.closest("label")?.querySelector(".label, span") ?? element;
        return (element.getAttribute("aria-label") ?? label.textContent).trim() === name && element.checkVisibility();
    });
    addEventListener("error", (event) => (globalThis.uncaught ??= []).push(event.message));
    addEventListener("securitypolicyviolation", (event) => (globalThis.uncaught ??= []).push(event.effectiveDirective));
"""


class ConsoleTab:
    """A tab with the console, whose address is already open."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    async def prepare(self) -> None:
        """Install the functions of this module. Again after the page was loaded again."""
        await self.tab.run(f"() => {{ {FIND} }}")

    async def wait_until(self, condition: str, argument: Any = None) -> None:  # noqa: ANN401 - any JSON
        """Wait until a function's result is true. Fails at the deadline, with the text of the page."""
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while not await self.tab.run(condition, argument):
            if time.monotonic() > deadline_seconds:
                raise AssertionError(
                    f"not true in time: {condition}\n{await self.tab.run('() => document.body.innerText')}"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def heading(self, text: str) -> None:
        """Wait for the heading of a page, and until nothing is loading any more."""
        script = """(text) => document.querySelector("main h1")?.textContent === text
            && !document.querySelector("main .loading")"""
        await self.wait_until(script, text)

    async def go(self, fragment: str, heading: str) -> None:
        """Go to a page without loading the console again."""
        await self.tab.run("(fragment) => void (location.hash = fragment)", fragment)
        await self.heading(heading)

    async def press(self, name: str, *, selector: str = "button, a") -> None:
        """Wait for a button or a link, and press it."""
        await self.wait_until("([selector, name]) => Boolean(named(selector, name))", [selector, name])
        await self.tab.run("([selector, name]) => named(selector, name).click()", [selector, name])

    async def fill(self, label: str, text: str) -> None:
        """Write into a field."""
        await self.tab.run(
            """([label, text]) => {
                const field = named("input, textarea", label);
                field.value = text;
                field.dispatchEvent(new InputEvent("input", { bubbles: true }));
            }""",
            [label, text],
        )

    async def sign_in(self, key: str) -> None:
        """Sign in, unless another tab of this browser has, and wait for the overview."""
        await self.prepare()
        await self.wait_until("() => Boolean(document.querySelector('main h1'))")
        if await self.tab.run("() => Boolean(named('button', 'Sign in'))"):
            await self.fill("Key", key)
            await self.press("Sign in")
        await self.heading("Overview")

    async def use_theme(self, theme: str) -> None:
        """Switch to the light or the dark theme."""
        await self.tab.run("(theme) => stagebookTheme.choose(theme)", theme)

    async def accessibility_violations(self) -> list[str]:
        """Return what axe-core finds on the page when its animations have ended."""
        await self.tab.run(f"() => {{ if (!globalThis.axe) {{ {AXE.read_text(encoding='utf-8')} }} }}")
        await self.tab.run(END_ANIMATIONS)
        found: list[str] = await self.tab.run(
            """async () => (await axe.run()).violations.map(
                ({ id, nodes }) => `${location.hash} ${id}: ${nodes.map(({ html }) => html.slice(0, 200))}`,
            )"""
        )
        return found

    async def uncaught(self) -> list[str]:
        """Return the errors of the page and the violations of its policy."""
        found: list[str] = await self.tab.run("() => globalThis.uncaught ?? []")
        return found
