"""Networks that lose packets or change ports, for a publisher and for a viewer."""

import re

import pytest

from tests.e2e.browser.participants import BrowserPublisher, BrowserViewer, Participant, Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.media.rtc.peers.lossy_relay import LossyRelay, lossy_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOSS = 0.05
FRAMES = 80
DECODED_SHARE = 0.9
_CANDIDATE = re.compile(r"(a=candidate:\S+ 1 udp \d+ \S+) (\d+) typ host")


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_most_frames_arrive_with_5_percent_packet_loss(
    stage: StageHandle, participants: Participants, codec: str
) -> None:
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.prepare(codec=codec)
    answer = await publisher.run("() => connection.offer()")
    async with lossy_relay(media_port(answer), loss=LOSS, seed=1) as uplink:
        await connect_through(uplink, publisher, answer)
        viewer = await participants.viewer(viewer_token)
        await viewer.prepare(publisher_id)
        answer = await viewer.run("() => connection.offer()")
        async with lossy_relay(media_port(answer), loss=LOSS, seed=2) as downlink:
            await connect_through(downlink, viewer, answer)
            await viewer.wait_for_video()
            await expect_most_decoded(publisher, viewer)
            await viewer.wait_for_audio()
            assert uplink.peer_side.dropped > 0
            assert downlink.engine_side.dropped > 0


async def test_media_follows_pages_whose_nat_gives_them_another_port(
    stage: StageHandle, participants: Participants
) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    _, late_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.prepare()
    answer = await publisher.run("() => connection.offer()")
    async with lossy_relay(media_port(answer), loss=0, seed=1) as uplink:
        await connect_through(uplink, publisher, answer)
        viewer = await participants.viewer(viewer_token)
        await viewer.prepare(publisher_id)
        answer = await viewer.run("() => connection.offer()")
        async with lossy_relay(media_port(answer), loss=0, seed=2) as downlink:
            await connect_through(downlink, viewer, answer)
            await viewer.wait_for_video()
            await uplink.rebind()
            await downlink.rebind()
            await viewer.wait_for_video(count=30)
            # The keyframe for a new viewer is requested at the publisher's new port.
            late = await participants.viewer(late_token)
            await late.subscribe(publisher_id)
            await late.wait_for_video()
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED"]
    assert await stage.events(viewer_id) == ["JOINED", ("SUBSCRIBE_STARTED", publisher_id)]


def media_port(answer: str) -> int:
    """Return the UDP port of an answer's candidates."""
    match = _CANDIDATE.search(answer)
    assert match is not None
    return int(match[2])


async def connect_through(relay: LossyRelay, participant: Participant, answer: str) -> None:
    """Apply an answer with the relay's port in place of the server's port."""
    through_relay = _CANDIDATE.sub(rf"\1 {relay.port} typ host", answer)
    await participant.run("(answer) => connection.accept(answer)", through_relay)
    await participant.wait_connected()


async def expect_most_decoded(publisher: BrowserPublisher, viewer: BrowserViewer) -> None:
    """Check that most of the next FRAMES frames are decoded. The publisher stops, so that both counts are final."""
    sent, decoded = await publisher.frames_sent(), await viewer.frames_decoded()
    await publisher.wait_for_stat("outbound-rtp", {"kind": "video"}, "framesSent", above=sent + FRAMES)
    await publisher.run("() => connection.stopVideo()")
    sent = await publisher.frames_sent() - sent
    await viewer.wait_for_stat("inbound-rtp", {"kind": "video"}, "framesDecoded", above=decoded + DECODED_SHARE * sent)
