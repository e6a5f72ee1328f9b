"""Tabs that are reloaded, closed or lost: what the others see, and what the book has."""

from pathlib import Path

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_tab import SdkTab, SdkTabs, Seen
from tests.e2e.server import run_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sdk]

ONCE = ["JOINED", "PUBLISH_STARTED"]
ENDED = ["PUBLISH_STOPPED", "LEFT"]


async def test_a_reload(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    publisher_id = publisher.participant_id
    await viewer.forget()
    await publisher.tab.page.reload()
    again = await publisher.tab.publisher(publisher.token)
    await again.join()
    await viewer.expect((Seen.STREAMS_ADDED, publisher_id))
    await viewer.expect_media(publisher_id)
    await stage.expect_events(publisher_id, *ONCE, *ENDED, *ONCE)
    await again.leave()
    await stage.expect_events(publisher_id, *ONCE, *ENDED, *ONCE, *ENDED)


async def test_a_closed_tab(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    await publisher.tab.page.close(run_before_unload=True)
    await viewer.expect((Seen.LEFT, publisher.participant_id))
    await stage.expect_events(publisher.participant_id, *ONCE, *ENDED)


async def test_a_lost_tab(tmp_path: Path, tabs: SdkTabs) -> None:
    # Chromium sends a connectivity check every 2.5 seconds.
    with run_server(tmp_path / "data", session_linger_seconds="60", media_consent_timeout_seconds="6") as server:
        stage = StageHandle(server)
        publisher, viewer = await tabs.publisher_and_viewer(stage)
        await publisher.tab.crash()
        await viewer.expect((Seen.LEFT, publisher.participant_id))
        await stage.expect_events(publisher.participant_id, *ONCE, *ENDED)


async def test_a_lost_tab_whose_user_comes_back(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    publisher_id = publisher.participant_id
    await publisher.tab.crash()
    again: SdkTab = await tabs.tab()
    stage_again = await again.publisher(publisher.token)
    await stage_again.join()
    await viewer.expect_media(publisher_id)
    await stage_again.leave()
    events = await stage.events_until_left(publisher_id)
    assert (events[:2], events[-2:]) == (ONCE, ENDED)
