"""Packet loss in both directions, between the publisher and the engine and between the engine and the viewer."""

import pytest

from stagebook.media.codecs.codec_names import Codec
from tests.media.rtc.peers.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.media.rtc.peers.lossy_relay import lossy_relay
from tests.media.rtc.running_engine import running_engine

LOSS = 0.05
FRAMES = 60


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_audio_and_video_arrive_with_5_percent_loss(codec: Codec) -> None:
    async with running_engine() as engine:
        port = engine.forwarder.udp_port
        async with lossy_relay(port, loss=LOSS, seed=1) as uplink, lossy_relay(port, loss=LOSS, seed=2) as downlink:
            publisher = AiortcPublisher(engine, "p", codec=codec, frames_per_second=30)
            await publisher.publish(port=uplink.port)
            viewer = AiortcViewer(engine, "v")
            await viewer.subscribe(port=downlink.port)
            await viewer.wait_for_media()
            await viewer.wait_for_frames(FRAMES)
            assert uplink.dropped > 0
            assert downlink.dropped > 0
            await publisher.leave()
            await viewer.leave()
