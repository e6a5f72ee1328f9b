"""The forms of the console choose events of compositions: the search, and a new webhook."""

import pytest
from playwright.async_api import expect

from stagebook.stage.composition.composition_events import CompositionEventName
from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]


async def test_the_search_form_has_what_chooses_events_of_compositions(console: ConsolePage) -> None:
    page = console.page
    await console.open("#/events")
    for name in CompositionEventName:
        await expect(page.get_by_role("checkbox", name=name.value, exact=True)).to_be_visible(timeout=TIMEOUT_MS)
    await page.get_by_label("Composition", exact=True).fill("abcdABCDefgh")
    await page.get_by_label("COMPOSITION_FAILED", exact=True).check()
    await page.locator("select[name=error]").select_option("StageDeleted")
    await page.locator("select[name=cause]").select_option("no_publisher")
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(page.get_by_text("No event matches")).to_be_visible(timeout=TIMEOUT_MS)
    for part in ("composition=abcdABCDefgh", "name=COMPOSITION_FAILED", "error=StageDeleted", "cause=no_publisher"):
        assert part in page.url
    await page.reload()
    await expect(page.get_by_label("COMPOSITION_FAILED", exact=True)).to_be_checked(timeout=TIMEOUT_MS)


async def test_the_form_of_a_webhook_has_the_events_of_compositions(console: ConsolePage) -> None:
    page = console.page
    await console.open("#/webhooks")
    await page.get_by_role("button", name="Create a webhook").click()
    for name in CompositionEventName:
        await expect(page.get_by_role("checkbox", name=name.value, exact=True)).to_be_visible(timeout=TIMEOUT_MS)
