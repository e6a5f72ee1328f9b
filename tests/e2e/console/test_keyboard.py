"""The console without a mouse: where the focus goes, and that everything is reached."""

import pytest
from playwright.async_api import expect

from tests.e2e.console.console_page import ConsolePage
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]

FOCUSED = """() => ({
    name: document.activeElement.nodeName, outline: getComputedStyle(document.activeElement).outlineStyle,
})"""


async def test_the_heading_of_a_new_page_has_the_focus(console: ConsolePage) -> None:
    await console.page.get_by_role("link", name="Events", exact=True).focus()
    await console.page.keyboard.press("Enter")
    await console.heading("Events")
    await expect(console.page.get_by_role("heading", level=1)).to_be_focused()
    assert await console.page.title() == "Events – Stagebook"


async def test_the_first_key_skips_to_the_content(console: ConsolePage) -> None:
    await console.page.reload()
    await console.heading("Overview")
    await console.page.keyboard.press("Tab")
    await expect(console.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_role("main")).to_be_focused()


async def test_a_dialog_keeps_the_focus_and_gives_it_back(console: ConsolePage, stage: StageHandle) -> None:
    await console.open(f"#/stages/{stage.stage_id}")
    opener = console.page.get_by_role("button", name="Delete the stage")
    await opener.focus()
    await console.page.keyboard.press("Enter")
    dialog = console.page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    for _ in range(6):
        await console.page.keyboard.press("Tab")
        assert await console.page.evaluate(
            "!document.activeElement.closest('main') || !!document.activeElement.closest('dialog')"
        )
    await console.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(opener).to_be_focused()


async def test_a_change_of_tabs_keeps_the_focus(console: ConsolePage, stage: StageHandle) -> None:
    await console.open(f"#/stages/{stage.stage_id}")
    link = console.page.get_by_role("link", name="Tokens")
    await link.focus()
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_role("heading", name="Create a token")).to_be_visible()
    await expect(link).to_be_focused()


async def test_everything_that_can_be_pressed_has_a_visible_focus(console: ConsolePage) -> None:
    await expect(console.page.get_by_role("table", name="Stages")).to_be_visible()
    for _ in range(12):
        await console.page.keyboard.press("Tab")
        focused = await console.page.evaluate(FOCUSED)
        assert focused["outline"] != "none" or focused["name"] == "BODY"  # after the last element of the page
