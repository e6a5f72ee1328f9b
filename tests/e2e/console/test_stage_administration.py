"""What an operator does on a stage besides watching it: ingest keys and replication."""

import pytest
from playwright.async_api import expect

from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]


async def test_an_ingest_key_is_made_shown_copied_and_deleted(console: ConsolePage, stage: StageHandle) -> None:
    await console.open(f"#/stages/{stage.stage_id}/ingest")
    await console.page.get_by_role("button", name="Create an ingest key").click()
    await console.page.get_by_label("Name").fill("obs")
    await console.page.get_by_label("Protocol").select_option("RTMP")
    await console.confirm("Create")
    table = console.page.get_by_role("table", name="Ingest keys of the stage")
    await expect(table.get_by_role("row", name="obs")).to_be_visible(timeout=TIMEOUT_MS)
    [summary] = configurations(stage)
    made = stage.ivs.get_ingest_configuration(arn=summary["arn"])["ingestConfiguration"]
    await expect(table).not_to_contain_text(made["streamKey"])

    await console.page.get_by_role("button", name="Show the stream key of obs").click()
    await expect(table).to_contain_text(made["streamKey"], timeout=TIMEOUT_MS)
    address = await console.copied("Copy the address")
    assert address == stage.ivs.get_stage(arn=stage.arn)["stage"]["endpoints"]["rtmp"] + made["streamKey"]
    await console.page.get_by_role("button", name="Hide").click()
    await expect(table).not_to_contain_text(made["streamKey"])

    await console.page.get_by_role("button", name="Delete the ingest key obs").click()
    await console.confirm("Delete")
    await expect(console.page.get_by_text("There is no ingest key")).to_be_visible(timeout=TIMEOUT_MS)
    assert configurations(stage) == []


def configurations(stage: StageHandle) -> list[dict[str, str]]:
    """Return the ingest configurations of a stage."""
    found: list[dict[str, str]] = stage.ivs.list_ingest_configurations(filterByStageArn=stage.arn)[
        "ingestConfigurations"
    ]
    return found


async def test_a_publisher_is_replicated_to_another_stage(
    console: ConsolePage, second_console: ConsolePage, server: RunningServer, stage: StageHandle
) -> None:
    other = StageHandle(server, arn=server.client().create_stage(name="other")["stage"]["arn"])
    await second_console.join(stage, user_id="ann")
    await console.open(f"#/stages/{stage.stage_id}")
    await console.page.get_by_role("button", name="Replicate ann").click()
    await console.page.get_by_label("Show on stage as well").select_option(other.arn)
    await console.page.get_by_role("button", name="Start the replication").click()
    stop = console.page.get_by_role("button", name=f"Stop the replication to other ({other.stage_id})")
    await expect(stop).to_be_visible(timeout=TIMEOUT_MS)
    assert [each["userId"] for each in await present(other)] == ["ann"]
    await stop.click()
    await expect(console.page.get_by_text("shown on no other stage")).to_be_visible(timeout=TIMEOUT_MS)
    assert await present(other) == []


async def present(stage: StageHandle) -> list[dict[str, str]]:
    """Return the participants that are on a stage."""
    session_id = await stage.session_id()
    found = await stage.call("list_participants", sessionId=session_id, filterByState="CONNECTED")
    participants: list[dict[str, str]] = found["participants"]
    return participants
