"""A server that is killed, and a network that is lost: the SDK comes back by itself, and so do the media."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_tab import SdkTabs, Seen
from tests.e2e.sdk.unreliable_network import unreliable_server
from tests.e2e.server import run_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sdk]

ONCE = ["JOINED", "PUBLISH_STARTED"]
ENDED = ["PUBLISH_STOPPED", "LEFT"]
CONSENT_SECONDS = 15
"""After how much silence the server ends a connection of media: the default of `media_consent_timeout_seconds`."""


async def test_the_server_is_killed_and_starts_again(tmp_path: Path, tabs: SdkTabs) -> None:
    data = tmp_path / "data"
    with run_server(data, session_linger_seconds="60") as server:
        stage = StageHandle(server)
        address = urlsplit(server.endpoint_url).netloc
        publisher, viewer = await tabs.publisher_and_viewer(stage)
        publisher_id = publisher.participant_id
        await viewer.forget()
        server.kill()
        with run_server(data, session_linger_seconds="60", listen=address) as again:
            await viewer.expect((Seen.STREAMS_ADDED, publisher_id))
            await viewer.expect_media(publisher_id)
            before, after = await events_by_session(StageHandle(again, arn=stage.arn), publisher_id)
            assert before == [*ONCE, *ENDED]
            assert after == ONCE


# The seconds are what is tested: nobody, the SDK alone, and both sides notice that the network is lost.
@pytest.mark.parametrize("seconds", [3, 10, 25])
async def test_the_network_is_lost(tmp_path: Path, tabs: SdkTabs, seconds: int) -> None:
    with unreliable_server(tmp_path / "data") as (server, network):
        stage = StageHandle(server)
        publisher, viewer = await tabs.publisher_and_viewer(stage)
        publisher_id = publisher.participant_id
        network.cut()
        await asyncio.sleep(seconds)
        network.restore()
        await viewer.wait_until("recorder.stream(argument, 'video')", publisher_id)
        await viewer.expect_media(publisher_id)
        await publisher.leave()
        events = await stage.events_until_left(publisher_id)
        presence = [event for event in await stage.events(viewer.participant_id) if event in {"JOINED", "LEFT"}]
        if seconds < CONSENT_SECONDS:
            assert events == [*ONCE, *ENDED]
            assert presence == ["JOINED"]
        else:
            assert events == [*ONCE, *ENDED, *ONCE, *ENDED]
            assert presence == ["JOINED", "LEFT", "JOINED"]


async def events_by_session(stage: StageHandle, participant_id: str) -> list[list[str]]:
    """Return the names of the participant's events, oldest first, for each session of the stage."""
    sessions = (await stage.call("list_stage_sessions"))["stageSessions"]
    pages = [
        await stage.call("list_participant_events", sessionId=each["sessionId"], participantId=participant_id)
        for each in reversed(sessions)
    ]
    return [[event["name"] for event in reversed(page["events"])] for page in pages]
