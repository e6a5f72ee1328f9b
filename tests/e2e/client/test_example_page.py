"""The web page of the README, in two tabs."""

import pytest

from tests.e2e.client.client_tab import ClientTabs
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

SHOWS_BOTH = """
    () => [...document.querySelectorAll("video")].filter((each) => each.videoWidth && each.currentTime > 1).length === 2
"""


async def test_two_tabs_of_the_example_show_each_other(stage: StageHandle, tabs: ClientTabs, page: str) -> None:
    example = page.replace("pages/client.html", "examples/web/index.html")
    tokens = [(await stage.token())[1] for _ in range(2)]
    pages = [await tabs.open(token, address=f"{example}#{token}") for token in tokens]
    for each in pages:
        await each.run("() => document.getElementById('join').click()")
    for each in pages:
        await each.wait_until(SHOWS_BOTH)
    await pages[0].close()
    await pages[1].wait_until("() => document.querySelectorAll('video').length === 1")
