"""What users choose is shown as text: user ids, attributes and tags that look like HTML with a script."""

import pytest
from playwright.async_api import expect

from tests.clients.events_client import connect_events_client
from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.console
async def test_names_are_shown_as_text_on_every_page(console: ConsolePage, stage: StageHandle) -> None:
    stage.ivs.tag_resource(resourceArn=stage.arn, tags={"owner": HOSTILE})
    participant_id, token = await stage.token(userId=HOSTILE, attributes={HOSTILE: HOSTILE})
    async with connect_events_client(token):
        session_id = await stage.session_id()
        for fragment in (
            "#/",
            f"#/stages/{stage.stage_id}",
            f"#/sessions/{session_id}",
            f"#/stages/{stage.stage_id}/sessions/{session_id}/participants/{participant_id}",
            f"#/events?session={session_id}",
        ):
            await console.open(fragment)
            await expect(console.page.get_by_text(HOSTILE).first).to_be_visible(timeout=TIMEOUT_MS)
            assert await console.page.locator("main img").count() == 0
        await console.open(f"#/stages/{stage.stage_id}")
        await console.page.get_by_role("button", name=f"Disconnect {HOSTILE}").click()
        await expect(console.page.get_by_role("dialog")).to_contain_text(HOSTILE)
        await console.confirm("Cancel")
