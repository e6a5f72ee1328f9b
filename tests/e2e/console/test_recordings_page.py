"""Recordings in the console: the state and the place of a participant's recording, and its lane of the timeline."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from stagebook.testing import StagebookServer
from tests.e2e.console.bearer_keys import create_key
from tests.e2e.console.console_page import TIMEOUT_MS, open_console
from tests.e2e.server import run_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]


async def test_a_participant_shows_its_recording_and_why_it_failed(browser: Browser, tmp_path: Path) -> None:
    with run_server(tmp_path / "data", flags="--testing") as server:
        tools = StagebookServer(url=server.endpoint_url, region="us-west-2", read_log=lambda: server.log)
        ivs = tools.client()
        storage = ivs.create_storage_configuration(s3={"bucketName": "shows"})["storageConfiguration"]["arn"]
        stage = ivs.create_stage(autoParticipantRecordingConfiguration={"storageConfigurationArn": storage})["stage"]
        ann, bob = (tools.participant(stage["arn"], user_id=user_id) for user_id in ("ann", "bob"))
        ann.publish()
        bob.fail_recording("AccessDeniedException")
        place = f"#/stages/{stage['arn'].rpartition('/')[2]}"
        async with open_console(browser, server.endpoint_url) as console:
            page = console.page
            await console.sign_in(create_key(server.data, "reader"))
            await console.open(place)
            row = page.get_by_role("row").filter(has_text="ann")
            await expect(row.get_by_text("recording", exact=True)).to_be_visible(timeout=TIMEOUT_MS)
            await console.open(f"{place}/sessions/{ann.session_id}/participants/{ann.participant_id}")
            await expect(page.get_by_role("region", name="Participant", exact=True)).to_contain_text("shows/")
            await expect(page.get_by_role("table", name="Events of the participant")).to_contain_text(
                "RECORDING_STARTED"
            )
            await console.open(f"#/sessions/{ann.session_id}")
            await page.get_by_role("button", name="ann: joined 1 time, published 1 time, recorded 1 time").click()
            await expect(page.get_by_role("region", name="ann", exact=True)).to_contain_text("recorded")
            await page.get_by_role("button", name="bob:").click()
            details = page.get_by_role("region", name="bob", exact=True)
            await expect(details).to_contain_text("Access denied to S3 bucket.")
