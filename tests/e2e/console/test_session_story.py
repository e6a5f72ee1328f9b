"""What an operator does on one stage: create it, join from the browser, look at the events, disconnect, delete."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWS_VIDEO = "video => video.videoWidth > 0 && video.currentTime > 0.5"
COMMAND_TIMEOUT_SECONDS = 60


async def test_a_stage_is_created_and_deleted(console: ConsolePage, server: RunningServer) -> None:
    await console.page.get_by_role("button", name="Create a stage").click()
    await console.page.get_by_label("Name").fill("from-the-console")
    await console.page.get_by_role("button", name="Create", exact=True).click()
    await console.heading("from-the-console")
    assert "from-the-console" in [stage["name"] for stage in server.client().list_stages()["stages"]]
    await console.page.get_by_role("button", name="Delete the stage").click()
    await console.page.get_by_role("button", name="Delete", exact=True).click()
    await console.heading("Overview")
    assert "from-the-console" not in [stage["name"] for stage in server.client().list_stages()["stages"]]


async def test_two_browsers_see_each_other_and_one_is_disconnected(
    console: ConsolePage, second_console: ConsolePage, stage: StageHandle
) -> None:
    await console.join(stage, user_id="ann")
    await second_console.join(stage, user_id="bob", source="Nothing")
    await second_console.until(second_console.page.get_by_label("Video of ann"), SHOWS_VIDEO)
    statistics = second_console.page.get_by_role("table", name="Connection statistics")
    await expect(statistics).to_contain_text(re.compile(r"[1-9]\d* × [1-9]\d*"), timeout=TIMEOUT_MS)
    await expect(statistics).to_contain_text("bit/s")

    session_id = await stage.session_id()
    [ann] = [
        each
        for each in (await stage.call("list_participants", sessionId=session_id))["participants"]
        if each.get("userId") == "ann"
    ]
    watched = await second_console.page.context.new_page()
    await watched.goto(
        f"{second_console.page.url.partition('#')[0]}#/stages/{stage.stage_id}/sessions/{session_id}"
        f"/participants/{ann['participantId']}"
    )
    connections = watched.get_by_role("table", name="Connections of the participant")
    await expect(connections.get_by_role("row", name="publishes")).to_contain_text(
        re.compile(r"UDP.*bit/s.*[1-9]\d* × [1-9]\d*", re.DOTALL), timeout=TIMEOUT_MS
    )
    await watched.close()

    await console.open(f"#/stages/{stage.stage_id}")  # leaves the stage
    live = console.page.get_by_role("table", name="Participants on the stage")
    await expect(live.get_by_role("row", name="bob")).to_be_visible(timeout=TIMEOUT_MS)
    await expect(live.get_by_role("row", name="ann")).to_have_count(0, timeout=TIMEOUT_MS)
    await live.get_by_role("button", name="Disconnect bob").click()
    await console.page.get_by_label("Reason").fill("enough")
    await console.confirm("Disconnect")
    await expect(second_console.page.get_by_role("alert").first).to_contain_text("enough", timeout=TIMEOUT_MS)
    await expect(console.page.get_by_text("Nobody is on the stage")).to_be_visible(timeout=TIMEOUT_MS)


@pytest.mark.console
async def test_what_happened_before_the_stream_opened_is_shown(
    console: ConsolePage, second_console: ConsolePage, stage: StageHandle
) -> None:
    await second_console.join(stage, user_id="ann", source="Nothing")
    has_left = asyncio.Event()

    async def delay(route: Route) -> None:
        await has_left.wait()
        await route.continue_()

    await console.page.route("**/watch/v1/events/stream*", delay)
    await console.open(f"#/stages/{stage.stage_id}")
    live = console.page.get_by_role("table", name="Participants on the stage")
    await expect(live.get_by_role("row", name="ann")).to_be_visible(timeout=TIMEOUT_MS)
    session_id = await stage.session_id()
    [ann] = (await stage.call("list_participants", sessionId=session_id))["participants"]
    await second_console.page.get_by_role("button", name="Leave").click()
    await stage.expect_events(ann["participantId"], "JOINED", "LEFT")
    has_left.set()
    await expect(console.page.get_by_text("Nobody is on the stage")).to_be_visible(timeout=TIMEOUT_MS)


@pytest.mark.console
async def test_what_is_copied_runs(console: ConsolePage, server: RunningServer, stage: StageHandle) -> None:
    await console.join(stage, user_id="ann", source="Nothing")
    await console.page.get_by_role("button", name="Leave").click()
    ids = (await stage.call("list_participants", sessionId=await stage.session_id()))["participants"][0]
    session_id, participant_id = await stage.session_id(), ids["participantId"]
    await stage.expect_events(participant_id, "JOINED", "LEFT")
    await console.open(f"#/stages/{stage.stage_id}/sessions/{session_id}/participants/{participant_id}")
    await console.heading("ann")
    table = console.page.get_by_role("table", name="Events of the participant")
    await expect(table.get_by_role("row")).to_have_count(3, timeout=TIMEOUT_MS)
    await expect(table).to_contain_text("client")

    answer = json.loads(run(["bash", "-c", await console.copied("AWS CLI")], server))
    assert [event["name"] for event in answer["events"]] == ["LEFT", "JOINED"]
    printed = run(["python", "-c", await console.copied("boto3")], server)
    assert [line.split()[1] for line in printed.splitlines()] == ["LEFT", "JOINED"]
    await console.page.get_by_role("button", name="Show").click()
    assert json.loads(await console.copied("Copy the JSON")) == answer


def run(command: list[str], server: RunningServer) -> str:
    """Run a command with the environment that `stagebook env` prints, and the programs of this virtual environment."""
    return subprocess.run(
        command,
        env={**server.environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
    ).stdout
