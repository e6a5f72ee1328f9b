"""Lines that delay packets and change their order, and senders whose clock is wrong."""

import asyncio

import pytest
from aiortc import RTCRtpSender
from aiortc.rtp import RTCP_PSFB_APP, AnyRtcpPacket, RtcpPsfbPacket, unpack_remb_fci
from av import VideoFrame

from stagebook.demo.generated_media import MovingBar
from tests.clients.stage_client import new_peer_connection, offer, token_payload, wait_connected
from tests.e2e.participants.stage_handle import StageHandle
from tests.network.emulator.link_conditions import LinkConditions
from tests.network.scenarios.scene import Figures, Scene

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

HALF = [{"maxBitrate": 1_000_000, "scaleResolutionDownBy": 2}]
MEASURED_SECONDS = 8.0
SETTLED_SECONDS = 4.0
"""After this time the jitter buffers of the browser have their size."""


async def test_late_packets_are_not_taken_for_lost_ones(scene: Scene, figures: Figures) -> None:
    publisher = await scene.publish()
    await publisher.relay.change(to_server=LinkConditions(late_share=0.1, late_seconds=0.025))
    start = await publisher.seconds()
    await asyncio.sleep(MEASURED_SECONDS)
    log, link = await publisher.log(), (await publisher.relay.report()).to_server
    reported = log.grown("reported.video", "packetsLost", start, log.end)
    nacks = log.grown("video", "nackCount", start, log.end)
    packets = log.grown("video", "packetsSent", start, log.end)
    figures(
        reported_lost=reported,
        nacks=nacks,
        packets=packets,
        resent=log.grown("video", "retransmittedPacketsSent", start, log.end),
        target_bps=log.last("video", "targetBitrate"),
        available_bps=log.last("pair", "availableOutgoingBitrate"),
    )
    assert link.total.lost_packets == 0
    assert reported <= 0
    assert nacks < 0.02 * packets
    assert log.last("video", "targetBitrate") >= 2_000_000
    await scene.expect_events()


async def test_a_long_and_unsteady_way_carries_audio_and_video(scene: Scene, figures: Figures) -> None:
    way = LinkConditions(delay_seconds=0.1, jitter_seconds=0.03)
    publisher = await scene.publish(encodings=HALF, wait=False, to_server=way, to_peer=way)
    viewer = await scene.watch(to_server=way, to_peer=way)
    await viewer.wait_for_log("(sample) => sample.video?.framesDecoded > 30")
    await asyncio.sleep(SETTLED_SECONDS)
    start, began = await viewer.seconds(), await publisher.seconds()
    await asyncio.sleep(MEASURED_SECONDS)
    seen, sent = await scene.seen(viewer, start, start + MEASURED_SECONDS), await publisher.log()
    frames_sent = sent.grown("video", "framesSent", began, began + MEASURED_SECONDS)
    share = seen.grown("video", "framesReceived") / frames_sent
    nacks = sent.grown("video", "nackCount", began, sent.end), seen.grown("video", "nackCount")
    figures(
        concealed=seen.concealed,
        frames_share=share,
        longest_gap=seen.longest_gap(),
        nacks_of_both=nacks,
        target_bps=sent.last("video", "targetBitrate"),
    )
    assert seen.concealed < 0.01
    assert share > 0.95
    assert sum(nacks) == 0
    await scene.expect_events()


class SlowClock(MovingBar):
    """The moving bar with RTP timestamps that run 2 % slow, as with a frame rate that is only nearly right."""

    async def recv(self) -> VideoFrame:
        """Return the next frame when it is due."""
        frame = await super().recv()
        assert frame.pts is not None
        frame.pts = frame.pts * 98 // 100
        return frame


class SlowPublisher:
    """A publisher with aiortc. `estimates` are the bit rates of the REMB messages that it has received."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.estimates: list[int] = []
        self.connection = new_peer_connection()

    async def start(self) -> None:
        """Publish, and wait for the connection."""
        sender = self.connection.addTransceiver(SlowClock(), direction="sendonly").sender
        self._listen(sender)
        await offer(self.connection, token_payload(self.token)["whip_url"], self.token)
        await wait_connected(self.connection)

    def _listen(self, sender: RTCRtpSender) -> None:
        handle = sender._handle_rtcp_packet

        async def listen(packet: AnyRtcpPacket) -> None:
            if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
                self.estimates.append(unpack_remb_fci(packet.fci)[0])
            await handle(packet)

        sender._handle_rtcp_packet = listen  # type: ignore[method-assign]  # aiortc has no event for it


async def test_a_slow_rtp_clock_is_not_taken_for_a_growing_queue(stage: StageHandle, figures: Figures) -> None:
    publisher_id, token = await stage.token()
    publisher = SlowPublisher(token)
    await publisher.start()
    await asyncio.sleep(12)
    figures(first_bps=publisher.estimates[0], last_bps=publisher.estimates[-1], messages=len(publisher.estimates))
    assert publisher.estimates[-1] >= publisher.estimates[0]
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await publisher.connection.close()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
