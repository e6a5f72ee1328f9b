"""The timeline of a session: the lanes of real participants, in words, live, by keyboard, and in any size."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from bench.timeline.large_session import SESSION, build_session
from stagebook.data_folder.secrets import DataFolder
from tests.clients.events_client import connect_events_client
from tests.e2e.console.bearer_keys import create_key
from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage, open_console
from tests.e2e.console.timeline_screenshot import fail_to_publish
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_unchecked_server

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL = "/console/components/timeline/timeline_model.js"
SCALE = "/console/components/timeline/timeline_scale.js"
MOST_LANES_IN_VIEW = 16
"""560 pixels of 46 each, and three lanes beside them."""


async def test_lanes_tell_in_words_who_was_there_while_it_happens(console: ConsolePage, stage: StageHandle) -> None:
    page = console.page
    _, token = await stage.token("SUBSCRIBE", userId="ann")
    async with connect_events_client(token):
        await fail_to_publish(stage, user_id="felix")
        await console.open(f"#/sessions/{await stage.session_id()}")
        names = page.get_by_label("Participants with the event")
        await names.select_option("PUBLISH_ERROR")
        await expect(page.get_by_role("button", name="ann:")).to_have_count(0)
        await names.select_option("")
        await page.get_by_role("button", name="felix: 1 error").click()
        details = page.get_by_role("region", name="felix", exact=True)
        await expect(details).to_contain_text("The token does not allow this.")
        await page.get_by_role("button", name="ann: joined 1 time").click()
        details = page.get_by_role("region", name="ann", exact=True)
        await expect(details.get_by_role("row", name="joined")).to_contain_text("now")
        _, other = await stage.token(userId="bob")
        async with connect_events_client(other):
            await expect(page.get_by_role("button", name="bob: joined 1 time")).to_be_visible(timeout=TIMEOUT_MS)
    await expect(details.get_by_role("row", name="joined")).to_contain_text("client", timeout=TIMEOUT_MS)


@pytest.mark.console
async def test_lanes_are_reached_by_keyboard_and_found_by_name(console: ConsolePage, stage: StageHandle) -> None:
    page = console.page
    for user_id in ("ann", "bob"):
        _, token = await stage.token(userId=user_id)
        async with connect_events_client(token):
            pass
    await console.open(f"#/sessions/{await stage.session_id()}")
    await page.get_by_role("button", name="ann:").press("ArrowDown")
    bob = page.get_by_role("button", name="bob:")
    await expect(bob).to_be_focused()
    await expect(bob).to_have_attribute("aria-pressed", "true")
    await page.get_by_label("Find a participant").fill("ANN")
    await expect(bob).to_have_count(0)
    await page.get_by_role("checkbox", name="Joined").uncheck()
    await expect(page.get_by_text("No participant matches")).to_be_visible()


@pytest.mark.console
async def test_the_document_holds_only_the_lanes_in_view(browser: Browser, tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    await build_session(data.book_path, participants=1_000, events=20_000)
    with run_unchecked_server(data.path) as server:
        async with open_console(browser, server.endpoint_url) as console:
            await console.sign_in(create_key(data.path, "reader"))
            await console.open(f"#/sessions/{SESSION['session_id']}")
            await expect(console.page.get_by_text("1,000 participants, ")).to_be_visible(timeout=TIMEOUT_MS)
            lanes = console.page.locator(".timeline-names li")
            assert 5 < await lanes.count() <= MOST_LANES_IN_VIEW
            await console.page.locator(".timeline-scroll").press("End")
            await expect(lanes.last).to_have_attribute("aria-posinset", "1000")
            assert await lanes.count() <= MOST_LANES_IN_VIEW


@pytest.mark.console
async def test_the_model_puts_each_interval_where_it_belongs(console: ConsolePage) -> None:
    found = await console.page.evaluate(
        """async ({ model: url, events }) => {
            const { TimelineModel } = await import(url);
            const model = new TimelineModel();
            const added = events.map((event) => model.add(event));
            const [lane] = model.lanes;
            const values = ({ about, start, end }) => [about, start, end === Infinity ? null : end];
            const bars = {};
            for (const [kind, rows] of Object.entries(lane.rows)) bars[kind] = rows.map((row) => row.map(values));
            return { added, bars, errors: lane.errors.map(({ code }) => code), open: model.openCount, end: model.end };
        }""",
        {
            "model": MODEL,
            "events": [
                event(9, "SUBSCRIBE_STOPPED", remoteParticipantId="gone"),  # its start is not in the book any more
                event(10, "JOINED"),
                event(10, "JOINED"),  # a second time, from the stream
                event(11, "SUBSCRIBE_STARTED", remoteParticipantId="a"),
                event(12, "SUBSCRIBE_STARTED", remoteParticipantId="b"),
                event(13, "SUBSCRIBE_STOPPED", remoteParticipantId="a"),
                event(14, "SUBSCRIBE_STARTED", remoteParticipantId="c"),
                event(15, "PUBLISH_ERROR", errorCode="INVALID_INPUT"),
            ],
        },
    )
    assert found["added"] == [True, True, False, True, True, True, True, True]
    assert found["bars"]["joined"] == [[["", 10, None]]]
    assert found["bars"]["watched"] == [[["a", 11, 13], ["c", 14, None]], [["b", 12, None]]]
    assert (found["errors"], found["open"], found["end"]) == (["INVALID_INPUT"], 1, 15)


@pytest.mark.console
async def test_the_scale_stays_within_the_session(console: ConsolePage) -> None:
    shown = await console.page.evaluate(
        """async (url) => {
            const { TimelineScale } = await import(url);
            const scale = new TimelineScale();
            scale.width = 1000;
            scale.setExtent(0, 100_000);
            const whole = [scale.from, scale.to];
            scale.zoom(0.1, 500);
            const kept = scale.timeAt(500);
            scale.pan(-100_000);
            const first = scale.from;
            scale.zoom(1000);
            return { whole, kept, first, again: [scale.from, scale.to], isFitted: scale.isFitted };
        }""",
        SCALE,
    )
    assert shown["whole"] == shown["again"] == [-2_000, 102_000]
    assert (shown["kept"], shown["first"], shown["isFitted"]) == (50_000, -2_000, True)


def event(at_ms: int, name: str, **members: str) -> dict[str, str]:
    """Return an event as the watch API has it, `at_ms` after the epoch."""
    time = f"1970-01-01T00:00:00.{at_ms:03d}Z"
    return {"sequence": str(at_ms), "eventTime": time, "name": name, "participantId": "p", "stageArn": "s", **members}
