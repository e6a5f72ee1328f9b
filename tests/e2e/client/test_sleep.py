"""A laptop whose lid is closed for 40 seconds: the book has a LEFT, and the open client comes back by itself."""

import asyncio

import pytest

from tests.e2e.client.client_tab import ClientTabs
from tests.e2e.client.sleeping_browser import running_sleeper
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

SLEEP_SECONDS = 40.0


async def test_a_page_comes_back_after_40_seconds_of_sleep(
    stage: StageHandle, chromium_path: str, chromium_tabs: ClientTabs, page: str
) -> None:
    async with running_sleeper(chromium_path) as sleeper:
        sleeping_tabs = ClientTabs(sleeper.browser, page)
        ann = await sleeping_tabs.open((await stage.token())[1])
        bob = await chromium_tabs.open((await stage.token())[1])
        for tab in (ann, bob):
            await tab.join()
            await tab.publish()
        for tab, other in ((ann, bob), (bob, ann)):
            await tab.wait_for_event("publishstarted", other.participant_id)
            await tab.subscribe(other.participant_id)
            await tab.wait_for_media(other.participant_id)
        sleeper.sleep()
        await asyncio.sleep(SLEEP_SECONDS)
        await bob.wait_for_event("participantleft", ann.participant_id)
        sleeper.wake_up()
        await bob.wait_until("(id) => stage.subscriptions.get(id).state === 'connected'", ann.participant_id)
        for tab, other in ((ann, bob), (bob, ann)):
            await tab.wait_for_media(other.participant_id)
        events = await stage.events(ann.participant_id)
        start = {"JOINED", "PUBLISH_STARTED", ("SUBSCRIBE_STARTED", bob.participant_id)}
        end = {"PUBLISH_STOPPED", ("SUBSCRIBE_STOPPED", bob.participant_id), "LEFT"}
        assert [set(events[:3]), set(events[3:6]), set(events[6:])] == [start, end, start]
        assert (events[0], events[5], events[6], len(events)) == ("JOINED", "LEFT", "JOINED", 9)
        assert await stage.events(bob.participant_id) == [
            "JOINED",
            "PUBLISH_STARTED",
            ("SUBSCRIBE_STARTED", ann.participant_id),
            ("SUBSCRIBE_STOPPED", ann.participant_id),
            ("SUBSCRIBE_STARTED", ann.participant_id),
        ]
        await ann.leave()
        await sleeping_tabs.close()
