"""Networks that lose packets or change ports, for a publisher and for a viewer."""

import pytest

from tests.e2e.browser.participants import BrowserPublisher, BrowserViewer, Participant, Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.network.emulator.emulated_network import NetworkRelay, emulated_network, media_address, through_relay
from tests.network.emulator.link_conditions import LinkConditions

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOSSY = LinkConditions(loss=0.05)
FRAMES = 80
DECODED_SHARE = 0.9


@pytest.mark.parametrize("codec", ["H264", pytest.param("VP8", marks=pytest.mark.slow)])
async def test_most_frames_arrive_with_5_percent_packet_loss(
    stage: StageHandle, participants: Participants, codec: str
) -> None:
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    async with emulated_network() as network:
        publisher = await participants.publisher(publisher_token)
        await publisher.prepare(codec=codec)
        answer = await publisher.run("() => connection.offer()")
        uplink = await network.relay(*media_address(answer), to_server=LOSSY, to_peer=LOSSY, seed=1)
        await connect_through(uplink, publisher, answer)
        viewer = await participants.viewer(viewer_token)
        await viewer.prepare(publisher_id)
        answer = await viewer.run("() => connection.offer()")
        downlink = await network.relay(*media_address(answer), to_server=LOSSY, to_peer=LOSSY, seed=2)
        await connect_through(downlink, viewer, answer)
        await viewer.wait_for_video()
        await expect_most_decoded(publisher, viewer)
        await viewer.wait_for_audio()
        assert (await uplink.report()).to_server.total.lost_packets > 0
        assert (await downlink.report()).to_peer.total.lost_packets > 0


@pytest.mark.slow
async def test_media_follows_pages_whose_nat_gives_them_another_port(
    stage: StageHandle, participants: Participants
) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    _, late_token = await stage.token()
    async with emulated_network() as network:
        publisher = await participants.publisher(publisher_token)
        await publisher.prepare()
        answer = await publisher.run("() => connection.offer()")
        uplink = await network.relay(*media_address(answer))
        await connect_through(uplink, publisher, answer)
        viewer = await participants.viewer(viewer_token)
        await viewer.prepare(publisher_id)
        answer = await viewer.run("() => connection.offer()")
        downlink = await network.relay(*media_address(answer))
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


async def connect_through(relay: NetworkRelay, participant: Participant, answer: str) -> None:
    """Apply an answer with the relay's port in place of the server's port."""
    await participant.run("(answer) => connection.accept(answer)", through_relay(answer, relay))
    await participant.wait_connected()


async def expect_most_decoded(publisher: BrowserPublisher, viewer: BrowserViewer) -> None:
    """Check that most of the next FRAMES frames are decoded. The publisher stops, so that both counts are final."""
    sent, decoded = await publisher.frames_sent(), await viewer.frames_decoded()
    await publisher.wait_for_stat("outbound-rtp", {"kind": "video"}, "framesSent", above=sent + FRAMES)
    await publisher.run("() => connection.stopVideo()")
    sent = await publisher.frames_sent() - sent
    await viewer.wait_for_stat("inbound-rtp", {"kind": "video"}, "framesDecoded", above=decoded + DECODED_SHARE * sent)
