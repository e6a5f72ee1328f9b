"""Pages that reconnect, crash, close and restart ICE while a viewer watches."""

from pathlib import Path

import pytest
from playwright.async_api import Error

from tests.e2e.browser.participants import BrowserPublisher, BrowserViewer, Participant, Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_server

pytestmark = pytest.mark.asyncio(loop_scope="session")


class PublisherAndViewer:
    """A publisher and its viewer, with the checks of their events."""

    def __init__(self, publisher: BrowserPublisher, viewer: BrowserViewer) -> None:
        self.publisher, self.viewer = publisher, viewer
        self.publisher_id: str = publisher.payload["jti"]
        self.viewer_id: str = viewer.payload["jti"]

    async def expect_both_live(self, stage: StageHandle) -> None:
        """Neither has events after the start of the publication and the subscription."""
        assert await stage.events(self.publisher_id) == ["JOINED", "PUBLISH_STARTED"]
        assert await stage.events(self.viewer_id) == ["JOINED", ("SUBSCRIBE_STARTED", self.publisher_id)]

    async def expect_both_left(self, stage: StageHandle) -> None:
        """The publisher has left, which ended the viewer's subscription."""
        await stage.expect_events(self.publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
        started, stopped = (f"SUBSCRIBE_{end}" for end in ("STARTED", "STOPPED"))
        await stage.expect_events(
            self.viewer_id, "JOINED", (started, self.publisher_id), (stopped, self.publisher_id), "LEFT"
        )


async def publish_and_watch(stage: StageHandle, participants: Participants) -> PublisherAndViewer:
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.publish()
    viewer = await participants.viewer(viewer_token)
    await viewer.subscribe(publisher_id)
    await viewer.wait_for_video()
    return PublisherAndViewer(publisher, viewer)


@pytest.mark.slow
async def test_viewers_stay_when_a_page_crashes_and_publishes_again(
    stage: StageHandle, participants: Participants
) -> None:
    pair = await publish_and_watch(stage, participants)
    await pair.publisher.crash()
    again = await participants.publisher(pair.publisher.token)
    await again.publish()
    await pair.viewer.wait_for_video()
    await pair.viewer.wait_for_audio()
    await pair.expect_both_live(stage)


@pytest.mark.slow
async def test_a_second_page_takes_over_and_the_first_is_closed(stage: StageHandle, participants: Participants) -> None:
    pair = await publish_and_watch(stage, participants)
    second = await participants.publisher(pair.publisher.token)
    await second.publish()
    await pair.publisher.wait_until("() => connection.transportState === 'closed'")
    await pair.viewer.wait_for_video()
    await pair.viewer.wait_for_audio()
    await pair.expect_both_live(stage)


async def test_closing_the_peer_connection_ends_the_participation(
    stage: StageHandle, participants: Participants
) -> None:
    pair = await publish_and_watch(stage, participants)
    await pair.publisher.run("() => connection.peer.close()")
    await pair.expect_both_left(stage)
    # At once, and not `disconnected` first, which ICE finds seconds later.
    await pair.viewer.wait_until("() => connection.connections.at(-1) === 'failed'")
    assert await pair.viewer.run("() => connection.connections") == ["connecting", "connected", "failed"]


@pytest.mark.slow
async def test_a_crash_ends_the_participation_after_the_consent_timeout(
    tmp_path: Path, participants: Participants
) -> None:
    # Chromium sends a connectivity check every 2.5 seconds.
    with run_server(tmp_path / "data", session_linger_seconds="60", media_consent_timeout_seconds="6") as server:
        stage = StageHandle(server)
        pair = await publish_and_watch(stage, participants)
        await pair.publisher.crash()
        await pair.expect_both_left(stage)


# A viewer receives media, a publisher only RTCP.
@pytest.mark.parametrize(
    ("role", "more_than_bytes"), [pytest.param("publisher", 0, marks=pytest.mark.slow), ("viewer", 20_000)]
)
async def test_media_continues_after_an_ice_restart(
    stage: StageHandle, participants: Participants, role: str, more_than_bytes: int
) -> None:
    pair = await publish_and_watch(stage, participants)
    participant: Participant = getattr(pair, role)
    previous = await participant.run("() => connection.iceSession")
    await participant.run("() => connection.trickle()")
    await participant.run("() => connection.restartIce()")
    await participant.wait_until("async (bytes) => await connection.bytesOnNewestPath() > bytes", more_than_bytes)
    await participant.wait_connected()
    await pair.viewer.wait_for_video()
    await pair.viewer.wait_for_audio()
    with pytest.raises(Error, match="412 ICE_SESSION_MISMATCH"):
        await participant.run("(previous) => connection.patch(204, previous)", previous)
    await pair.expect_both_live(stage)
