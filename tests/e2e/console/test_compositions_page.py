"""Compositions in the console: from the stage to a composition, its destinations and its events, while it runs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from stagebook.testing import StagebookServer
from tests.e2e.client.client_tab import open_tab
from tests.e2e.console.bearer_keys import create_key
from tests.e2e.console.both_browsers import ConsoleTab
from tests.e2e.server import run_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]

THEMES = ("light", "dark")


class ComposedStage:
    """A stage of a server with simulated media: `ann` is recorded, `bob` cannot be, and both are composed."""

    def __init__(self, tools: StagebookServer) -> None:
        self.ivs: Any = tools.client()
        storage = self.ivs.create_storage_configuration(s3={"bucketName": "shows"})["storageConfiguration"]["arn"]
        encoder = self.ivs.create_encoder_configuration()["encoderConfiguration"]["arn"]
        recorded = {"storageConfigurationArn": storage}
        self.arn = self.ivs.create_stage(autoParticipantRecordingConfiguration=recorded)["stage"]["arn"]
        ann, bob = (tools.participant(self.arn, user_id=user_id) for user_id in ("ann", "bob"))
        ann.publish()
        bob.fail_recording("AccessDeniedException")
        self.session_id = ann.session_id
        place = {"storageConfigurationArn": storage, "encoderConfigurationArns": [encoder]}
        started = self.ivs.start_composition(stageArn=self.arn, destinations=[{"s3": place}])["composition"]
        self.composition_arn = started["arn"]


@pytest_asyncio.fixture(loop_scope="session")
async def composed(browser: Browser, tmp_path: Path) -> AsyncIterator[tuple[ConsoleTab, ComposedStage]]:
    with run_server(tmp_path / "data", flags="--testing") as server:
        tools = StagebookServer(url=server.endpoint_url, region="us-west-2", read_log=lambda: server.log)
        stage = ComposedStage(tools)
        tab = ConsoleTab(await open_tab(browser, f"{server.endpoint_url}/console/"))
        await tab.sign_in(create_key(server.data, "reader"))
        yield tab, stage
        await tab.tab.close()


async def shows(tab: ConsoleTab, *texts: str) -> None:
    await tab.wait_until(
        "(texts) => texts.every((text) => document.querySelector('main').innerText.includes(text))", texts
    )


async def test_a_composition_is_found_from_its_stage_and_followed(composed: tuple[ConsoleTab, ComposedStage]) -> None:
    tab, stage = composed
    composition_id = stage.composition_arn.rpartition("/")[2]
    await tab.go(f"#/sessions/{stage.session_id}", f"Session {stage.session_id}")
    await tab.press("Compositions of the stage")
    await tab.press(composition_id)
    await tab.heading(f"Composition {composition_id}")
    await shows(tab, "active", "storage configuration", "/composite", "COMPOSITION_DESTINATION_STARTED", "Live")
    stage.ivs.stop_composition(arn=stage.composition_arn)
    await shows(tab, "stopped", "COMPOSITION_ENDED", "StopComposition was called")
    assert await tab.uncaught() == []


async def test_axe_finds_nothing_in_states_of_recordings_and_compositions(
    composed: tuple[ConsoleTab, ComposedStage],
) -> None:
    tab, stage = composed
    stage_id, composition_id = (arn.rpartition("/")[2] for arn in (stage.arn, stage.composition_arn))
    found: list[str] = []
    for fragment, heading, text in (
        (f"#/stages/{stage_id}", stage_id, "recording failed"),
        (f"#/stages/{stage_id}/compositions", stage_id, composition_id),
        (f"#/compositions/{composition_id}", f"Composition {composition_id}", "COMPOSITION_STARTED"),
    ):
        await tab.go(fragment, heading)
        await shows(tab, text)
        for theme in THEMES:
            await tab.use_theme(theme)
            found += await tab.accessibility_violations()
    assert found == []
