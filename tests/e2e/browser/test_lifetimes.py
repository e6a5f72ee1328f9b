"""Pages come back, vanish and change their network while others watch."""

from pathlib import Path

import pytest
from playwright.async_api import Error

from tests.e2e.browser.participants import BrowserPublisher, BrowserViewer, Participant, Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_server

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Watched:
    """A publisher and its viewer, and what the book says of both so far."""

    def __init__(self, publisher: BrowserPublisher, viewer: BrowserViewer) -> None:
        self.publisher, self.viewer = publisher, viewer
        self.publisher_id: str = publisher.payload["jti"]
        self.viewer_id: str = viewer.payload["jti"]

    async def expect_both_live(self, stage: StageHandle) -> None:
        """Neither has stopped anything or begun anything anew."""
        assert await stage.events(self.publisher_id) == ["JOINED", "PUBLISH_STARTED"]
        assert await stage.events(self.viewer_id) == ["JOINED", ("SUBSCRIBE_STARTED", self.publisher_id)]

    async def expect_both_left(self, stage: StageHandle) -> None:
        """The publisher is gone, and so the viewer's one connection."""
        await stage.expect_events(self.publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
        started, stopped = (f"SUBSCRIBE_{end}" for end in ("STARTED", "STOPPED"))
        await stage.expect_events(
            self.viewer_id, "JOINED", (started, self.publisher_id), (stopped, self.publisher_id), "LEFT"
        )


async def publish_and_watch(stage: StageHandle, participants: Participants) -> Watched:
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.publish()
    viewer = await participants.viewer(viewer_token)
    await viewer.subscribe(publisher_id)
    await viewer.wait_for_moving_pictures()
    return Watched(publisher, viewer)


async def test_a_page_that_crashed_and_is_opened_again_keeps_its_viewers(
    stage: StageHandle, participants: Participants
) -> None:
    watched = await publish_and_watch(stage, participants)
    await watched.publisher.crash()
    again = await participants.publisher(watched.publisher.token)
    await again.publish()
    await watched.viewer.wait_for_moving_pictures()
    await watched.viewer.wait_for_sound()
    await watched.expect_both_live(stage)


async def test_a_second_page_takes_over_and_the_first_is_told(stage: StageHandle, participants: Participants) -> None:
    watched = await publish_and_watch(stage, participants)
    second = await participants.publisher(watched.publisher.token)
    await second.publish()
    await watched.publisher.wait_until("() => connection.transportState === 'closed'")
    await watched.viewer.wait_for_moving_pictures()
    await watched.viewer.wait_for_sound()
    await watched.expect_both_live(stage)


async def test_a_peer_connection_that_is_closed_has_left(stage: StageHandle, participants: Participants) -> None:
    watched = await publish_and_watch(stage, participants)
    await watched.publisher.run("() => connection.peer.close()")
    await watched.expect_both_left(stage)
    await watched.viewer.wait_until("() => connection.transportState === 'closed'")


async def test_a_page_that_crashed_for_good_has_left(tmp_path: Path, participants: Participants) -> None:
    # Chromium checks its path every 2.5 seconds.
    with run_server(tmp_path / "data", session_linger_seconds="60", media_consent_timeout_seconds="6") as server:
        stage = StageHandle(server)
        watched = await publish_and_watch(stage, participants)
        await watched.publisher.crash()
        await watched.expect_both_left(stage)


# A viewer gets media by its path, a publisher only reports.
@pytest.mark.parametrize(("who", "more_than_bytes"), [("publisher", 0), ("viewer", 20_000)])
async def test_media_goes_on_through_an_ice_restart(
    stage: StageHandle, participants: Participants, who: str, more_than_bytes: int
) -> None:
    watched = await publish_and_watch(stage, participants)
    participant: Participant = getattr(watched, who)
    former = await participant.run("() => connection.iceSession")
    await participant.run("() => connection.trickle()")
    await participant.run("() => connection.restartIce()")
    await participant.wait_until("async (bytes) => await connection.bytesOnNewestPath() > bytes", more_than_bytes)
    await participant.wait_connected()
    await watched.viewer.wait_for_moving_pictures()
    await watched.viewer.wait_for_sound()
    with pytest.raises(Error, match="412 ICE_SESSION_MISMATCH"):
        await participant.run("(former) => connection.patch(204, former)", former)
    await watched.expect_both_live(stage)
