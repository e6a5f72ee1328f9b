"""A bad network: packets are lost in both directions, for the publisher and for the viewer."""

import pytest

from stagebook.media.codecs.codec_names import Codec
from tests.media.rtc.peers.peers import PublishingPeer, WatchingPeer
from tests.media.rtc.peers.relay import lossy_relay
from tests.media.rtc.running_engine import running_engine

LOSS = 0.05
PICTURES = 60


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_pictures_and_sound_pass_with_a_twentieth_lost_both_ways(codec: Codec) -> None:
    async with running_engine() as engine:
        port = engine.forwarder.udp_port
        async with lossy_relay(port, loss=LOSS, seed=1) as uplink, lossy_relay(port, loss=LOSS, seed=2) as downlink:
            publisher = PublishingPeer(engine, "p", codec=codec, frames_per_second=30)
            await publisher.publish(port=uplink.port)
            viewer = WatchingPeer(engine, "v")
            await viewer.subscribe(port=downlink.port)
            await viewer.wait_for_media()
            await viewer.wait_for_pictures(PICTURES)
            assert uplink.lost > 0
            assert downlink.lost > 0
            await publisher.leave()
            await viewer.leave()
