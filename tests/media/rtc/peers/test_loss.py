"""Packet loss in both directions, between the publisher and the engine and between the engine and the viewer."""

import pytest

from stagebook.media.codecs.codec_names import Codec
from tests.media.rtc.peers.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.media.rtc.running_engine import running_engine
from tests.network.emulator.emulated_network import emulated_network
from tests.network.emulator.link_conditions import LinkConditions

LOSSY = LinkConditions(loss=0.05)
FRAMES = 60


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_audio_and_video_arrive_with_5_percent_loss(codec: Codec) -> None:
    async with running_engine() as engine, emulated_network() as network:
        port = engine.forwarder.udp_port
        uplink = await network.relay("127.0.0.1", port, to_server=LOSSY, to_peer=LOSSY, seed=1)
        downlink = await network.relay("127.0.0.1", port, to_server=LOSSY, to_peer=LOSSY, seed=2)
        publisher = AiortcPublisher(engine, "p", codec=codec, frames_per_second=30)
        await publisher.publish(port=uplink.port)
        viewer = AiortcViewer(engine, "v")
        await viewer.subscribe(port=downlink.port)
        await viewer.wait_for_media()
        await viewer.wait_for_frames(FRAMES)
        assert (await uplink.report()).to_server.total.lost_packets > 0
        assert (await downlink.report()).to_peer.total.lost_packets > 0
        await publisher.leave()
        await viewer.leave()
