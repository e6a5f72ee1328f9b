"""Pictures of the console for the documentation, from a real session: `make screenshots`.

python -m tests.e2e.console.screenshots docs/images
"""

import argparse
import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.clients.events_client import connect_events_client
from tests.e2e.browser.chromium import find_chromium, running_chromium
from tests.e2e.console.bearer_keys import create_key
from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage, open_console
from tests.e2e.console.timeline_screenshot import fail_to_publish, take_timeline
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

VIEWERS = ("bob", "carla", "dmitri")
SHOWS_VIDEO = "video => video.videoWidth > 0 && video.currentTime > 3"


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, run_server(Path(data) / "data", session_linger_seconds="60") as server:
        asyncio.run(_take(server, folder))


async def _take(server: RunningServer, folder: Path) -> None:
    path = find_chromium()
    assert path is not None, "there is no Chromium on the path"
    key = create_key(server.data, "operator")
    async with running_chromium(path) as browser:
        await take_timeline(browser, server, key, folder / "console-timeline.png")
        async with _story(browser, server, key) as stage:
            await _pictures(browser, server, key, stage, folder)


@contextlib.asynccontextmanager
async def _story(browser: Browser, server: RunningServer, key: str) -> AsyncIterator[StageHandle]:
    """Put a publisher and viewers on a stage, one of which fails to publish."""
    stages = {name: server.client().create_stage(name=name)["stage"]["arn"] for name in ("morning-show", "rehearsal")}
    stage = StageHandle(server, arn=stages["morning-show"])
    stage.ivs.create_ingest_configuration(stageArn=stage.arn, ingestProtocol="RTMPS", name="obs-studio")
    async with contextlib.AsyncExitStack() as participants:
        publisher = await participants.enter_async_context(open_console(browser, server.endpoint_url))
        await publisher.sign_in(key)
        await publisher.join(stage, user_id="ann")
        for user_id in VIEWERS:
            _, token = await stage.token(userId=user_id)
            await participants.enter_async_context(connect_events_client(token))
        await fail_to_publish(stage, user_id="felix")
        yield stage


async def _pictures(browser: Browser, server: RunningServer, key: str, stage: StageHandle, folder: Path) -> None:
    async with open_console(browser, server.endpoint_url) as viewer:
        await viewer.sign_in(key)
        await viewer.join(stage, user_id="erin")
        await viewer.until(viewer.page.get_by_label("Video of ann"), SHOWS_VIDEO)
        statistics = viewer.page.get_by_role("table", name="Connection statistics")
        # The first reading has no bitrate yet.
        await expect(statistics.get_by_role("cell", name=re.compile("[kM]bit"))).to_have_count(4, timeout=TIMEOUT_MS)
        await _save(viewer, folder / "console-join.png")
        for scheme in ("light", "dark"):
            suffix = "" if scheme == "light" else "-dark"
            async with open_console(browser, server.endpoint_url, scheme=scheme) as console:
                await console.sign_in(key)
                await expect(console.page.get_by_text("bit/s").first).to_be_visible(timeout=TIMEOUT_MS)
                await _save(console, folder / f"console-overview{suffix}.png")
                if scheme == "dark":
                    continue
                await console.open(f"#/stages/{stage.stage_id}")
                await expect(console.page.get_by_role("row", name="dmitri")).to_be_visible(timeout=TIMEOUT_MS)
                await _save(console, folder / "console-stage.png")
                await console.page.get_by_role("link", name="ann").click()
                await console.heading("ann")
                await expect(console.page.get_by_role("table").get_by_text("PUBLISH_STARTED")).to_be_visible()
                await _save(console, folder / "console-participant.png")


async def _save(console: ConsolePage, path: Path) -> None:
    await console.page.wait_for_function("() => !document.querySelector('main .loading')")
    await console.page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    main()
