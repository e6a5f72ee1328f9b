"""The page with the events of all stages: filters, endless scrolling, the live tail."""

import pytest
from playwright.async_api import expect

from tests.clients.events_client import connect_events_client
from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]


async def test_filters_choose_events_and_are_in_the_address(console: ConsolePage, stage: StageHandle) -> None:
    _, token = await stage.token(userId="searched")
    async with connect_events_client(token):
        await stage.session_id()
    await console.open("#/events")
    await console.page.get_by_label("User id").fill("searched")
    await console.page.get_by_role("textbox", name="Stage").fill(stage.stage_id)
    await console.page.get_by_label("LEFT", exact=True).check()
    await console.page.get_by_role("button", name="Search", exact=True).click()
    table = console.page.get_by_role("table", name="Events")
    await expect(table.get_by_role("row")).to_have_count(2, timeout=TIMEOUT_MS)
    await expect(table).to_contain_text("LEFT")
    assert "user=searched" in console.page.url
    await console.page.reload()
    await expect(console.page.get_by_label("User id")).to_have_value("searched")
    await expect(table.get_by_role("row")).to_have_count(2, timeout=TIMEOUT_MS)


async def test_the_live_tail_shows_an_event_when_it_happens(console: ConsolePage, stage: StageHandle) -> None:
    await console.open(f"#/events?stage={stage.arn}")
    await expect(console.page.get_by_text("No event matches")).to_be_visible(timeout=TIMEOUT_MS)
    await console.page.get_by_role("button", name="Live tail").click()
    await expect(console.page.get_by_text("Live", exact=True)).to_be_visible(timeout=TIMEOUT_MS)
    _, token = await stage.token(userId="tailed")
    async with connect_events_client(token):
        await expect(console.page.get_by_role("row", name="tailed")).to_be_visible(timeout=TIMEOUT_MS)


@pytest.mark.console
async def test_scrolling_loads_all_pages(console: ConsolePage, stage: StageHandle) -> None:
    for number in range(60):
        participant_id, token = await stage.token(userId=f"user-{number}")
        async with connect_events_client(token):
            pass
        await stage.events_until_left(participant_id)
    await console.open(f"#/events?stage={stage.arn}")
    rows = console.page.get_by_role("table", name="Events").get_by_role("row")
    await expect(rows.nth(100)).to_be_attached(timeout=TIMEOUT_MS)
    await console.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    await expect(rows).to_have_count(1 + 2 * 60, timeout=TIMEOUT_MS)
    await expect(console.page.get_by_role("row", name="user-0")).to_have_count(2)
