"""A bad network: packets are lost in both directions, between the publisher and the server and on to the viewer."""

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
async def test_most_pictures_pass_with_a_twentieth_of_all_packets_lost(
    stage: StageHandle, participants: Participants, codec: str
) -> None:
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    publisher = await participants.publisher(publisher_token)
    await publisher.prepare(codec=codec)
    answer = await publisher.run("() => connection.offer()")
    async with lossy_relay(media_port(answer), loss=LOSS, seed=1) as up:
        await connect_through(up, publisher, answer)
        viewer = await participants.viewer(viewer_token)
        await viewer.prepare(publisher_id)
        answer = await viewer.run("() => connection.offer()")
        async with lossy_relay(media_port(answer), loss=LOSS, seed=2) as down:
            await connect_through(down, viewer, answer)
            await viewer.wait_for_moving_pictures()
            await expect_most_decoded(publisher, viewer)
            await viewer.wait_for_sound()
            assert up.peer_side.dropped > 0
            assert down.engine_side.dropped > 0


def media_port(answer: str) -> int:
    """Return the UDP port of an answer's candidates."""
    match = _CANDIDATE.search(answer)
    assert match is not None
    return int(match[2])


async def connect_through(relay: LossyRelay, participant: Participant, answer: str) -> None:
    """Take an answer with the relay's port in place of the server's."""
    through_relay = _CANDIDATE.sub(rf"\1 {relay.port} typ host", answer)
    await participant.run("(answer) => connection.accept(answer)", through_relay)
    await participant.wait_connected()


async def expect_most_decoded(publisher: BrowserPublisher, viewer: BrowserViewer) -> None:
    """Send FRAMES more frames and then none: so both counts are final, and lateness is no loss."""
    sent, decoded = await publisher.frames_sent(), await viewer.frames_decoded()
    await publisher.wait_for_stat("outbound-rtp", {"kind": "video"}, "framesSent", above=sent + FRAMES)
    await publisher.run("() => connection.freeze()")
    sent = await publisher.frames_sent() - sent
    await viewer.wait_for_stat("inbound-rtp", {"kind": "video"}, "framesDecoded", above=decoded + DECODED_SHARE * sent)
