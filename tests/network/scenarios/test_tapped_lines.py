"""What a tap hands to a recorder when the publisher's line loses packets."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import av
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.e2e.participants.stage_handle import StageHandle
from tests.media.rtc.engine.running_pool import Scenario, running_pool, until
from tests.media.tap.recorded_taps import recorded_taps
from tests.network.emulator.emulated_network import EmulatedNetwork, media_address, through_relay
from tests.network.emulator.link_conditions import LinkConditions
from tests.network.peers.network_participants import NetworkParticipants, NetworkPublisher
from tests.network.scenarios.scene import LAYERS, Figures

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

LOSSY = LinkConditions(delay_seconds=0.02, loss=0.05)
TAPPED_SECONDS = 10.0
LEAST_FRAMES_SHARE = 0.8
"""Of the frames that were sent of the best layer: nearly all, if the processors are free."""
OFFER = """async () => {
  const { peer } = connection;
  await peer.setLocalDescription(await peer.createOffer());
  while (peer.iceGatheringState !== "complete") await new Promise((resume) => setTimeout(resume, 20));
  return peer.localDescription.sdp;
}"""
FRAMES_SENT = """async () => Math.max(
  ...[...(await connection.peer.getStats()).values()].map(({ framesSent }) => framesSent ?? 0),
)"""
ANSWER = "(sdp) => connection.peer.setRemoteDescription({ type: 'answer', sdp })"


async def connect(publisher: NetworkPublisher, scenario: Scenario, network: EmulatedNetwork) -> None:
    """Connect a page's publisher to the pool through a lossy relay."""
    offer = await publisher.run(OFFER)
    answer = await scenario.pool.publish(connection_id="p", source_id="s", offer=offer)
    host, port = media_address(answer.sdp)
    publisher.relay = await network.relay(host, port, to_server=LOSSY, to_peer=LOSSY, seed=1)
    await publisher.run(ANSWER, through_relay(answer.sdp, publisher.relay, keep_tcp=False))
    await publisher.wait_until("() => connection.peer.connectionState === 'connected'")


@pytest.mark.parametrize(("codec", "encodings"), [("H264", LAYERS), ("VP8", None)], ids=["simulcast", "single"])
async def test_a_tap_of_a_lossy_line_can_be_decoded(
    stage: StageHandle,
    participants: NetworkParticipants,
    network: EmulatedNetwork,
    figures: Figures,
    codec: str,
    encodings: list[dict[str, Any]] | None,
) -> None:
    _, token = await stage.token()
    async with recorded_taps() as taps, running_pool() as scenario:
        publisher = await participants.publisher(token, is_steady=encodings is not None)
        await publisher.prepare(codec=codec, encodings=encodings)
        await connect(publisher, scenario, network)
        await scenario.pool.open_tap("s", taps.accept)
        await until(lambda: bool(taps.frames["0"]))
        sent = -await publisher.run(FRAMES_SENT)
        already = len(taps.frames["0"])
        await asyncio.sleep(TAPPED_SECONDS)
        sent += await publisher.run(FRAMES_SENT)
        frames = taps.frames["0"]
        video = [frame for frame in frames if frame.kind is MediaKind.VIDEO]
        audio = [frame for frame in frames if frame.kind is MediaKind.AUDIO]
        sizes = decode(video)
        received = sum(frame.kind is MediaKind.VIDEO for frame in frames[already:])
        figures(
            sent_frames=sent,
            video_frames=received,
            video_losses=sum(frame.is_after_loss for frame in video),
            new_streams=sum(frame.is_new_stream for frame in video),
            audio_packets=len(audio),
            audio_losses=sum(frame.is_after_loss for frame in audio),
            longest_gap_ms=max(after.time_us - before.time_us for before, after in pairwise(video)) // 1000,
            heights=sorted(set(sizes)),
            difference_ms=(video[-1].time_us - audio[-1].time_us) // 1000,
        )
        assert received >= LEAST_FRAMES_SHARE * sent
        for of_kind in (video, audio):
            assert all(before.time_us < after.time_us for before, after in pairwise(of_kind))


def decode(frames: Sequence[TappedFrame]) -> list[int]:
    """The heights of the pictures that a strict decoder makes, which is set up anew for each new stream."""
    heights: list[int] = []
    context: av.VideoCodecContext | None = None
    for frame in frames:
        if context is None or frame.is_new_stream:
            assert frame.is_keyframe
            made = av.CodecContext.create(frame.codec.lower(), "r")
            assert isinstance(made, av.VideoCodecContext)
            context = made
            context.thread_type = "NONE"
            context.options = {"err_detect": "explode"}
        heights += [picture.height for picture in context.decode(av.Packet(frame.body))]
    return heights
