"""Lines that lose packets, at random and in bursts."""

import asyncio

import pytest

from tests.network.emulator.link_conditions import LinkConditions
from tests.network.scenarios.scene import Figures, Scene

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

DELAY_SECONDS = 0.02
CLEAN = LinkConditions(delay_seconds=DELAY_SECONDS)
LOSSY = LinkConditions(delay_seconds=DELAY_SECONDS, loss=0.05)
BURSTS = LinkConditions(delay_seconds=DELAY_SECONDS, burst_loss=0.1, burst_packets=5)
HALF = [{"maxBitrate": 1_000_000, "scaleResolutionDownBy": 2}]
MEASURED_SECONDS = 10.0
SETTLED_SECONDS = 3.0
MOST_CONCEALED = 0.06
"""Redundancy begins when the loss has been reported. On a busy machine audio is also late for the loudspeaker."""
MOST_CONCEALED_IN_BURSTS = 0.17
"""Redundancy repeats one frame, and a burst may take more."""
MOST_CONCEALED_IN_FIREFOX = 0.03
"""Firefox has neither redundancy nor NACK for audio. Without the second copy of each packet it conceals 4.5 %."""
LEAST_TARGET_BPS = 600_000
"""On a busy machine. An estimate that follows the loss falls to a quarter of it within these seconds."""
LEAST_FRAMES_SHARE = 0.6
"""Nearly all frames arrive if the processors are free. On a busy machine some are too late."""


async def test_a_publisher_with_5_percent_loss_keeps_its_rate(scene: Scene, figures: Figures) -> None:
    # With the delay from the beginning: a step of the delay looks like a queue, and lowers the estimate once.
    publisher = await scene.publish(to_server=CLEAN, to_peer=CLEAN)
    before = (await publisher.log()).last("video", "targetBitrate")
    await publisher.relay.change(to_server=LOSSY, to_peer=LOSSY)
    start = await publisher.seconds()
    await asyncio.sleep(MEASURED_SECONDS)
    log = await publisher.log()
    target = min(value for time, value in log.values("video", "targetBitrate") if time > start + SETTLED_SECONDS)
    figures(
        target_before_bps=before,
        least_target_bps=target,
        last_target_bps=log.last("video", "targetBitrate"),
        sent_bps=log.bitrate_bps("video", "bytesSent", start, log.end),
        nacks=log.grown("video", "nackCount", start, log.end),
        lost_packets=(await publisher.relay.report()).to_server.total.lost_packets,
    )
    assert target >= LEAST_TARGET_BPS
    await scene.expect_events()


@pytest.mark.parametrize(
    ("loss", "most_concealed"), [(LOSSY, MOST_CONCEALED), (BURSTS, MOST_CONCEALED_IN_BURSTS)], ids=["random", "bursts"]
)
async def test_audio_and_video_survive_loss_on_both_legs(
    scene: Scene, figures: Figures, loss: LinkConditions, most_concealed: float
) -> None:
    await watch_with_loss(scene, figures, loss, most_concealed=most_concealed)


async def test_firefox_survives_loss_on_both_legs(scene_in_firefox: Scene, figures: Figures) -> None:
    await watch_with_loss(scene_in_firefox, figures, LOSSY, most_concealed=MOST_CONCEALED_IN_FIREFOX)


async def watch_with_loss(scene: Scene, figures: Figures, loss: LinkConditions, *, most_concealed: float) -> None:
    """Publish and watch, with loss on the way to the server and on the way to the viewer."""
    publisher = await scene.publish(encodings=HALF, wait=False)
    viewer = await scene.watch()
    await viewer.wait_for_log("(sample) => sample.video?.framesDecoded > 10")
    await publisher.relay.change(to_server=loss, to_peer=CLEAN)
    await viewer.relay.change(to_server=CLEAN, to_peer=loss)
    start, began = await viewer.seconds(), await publisher.seconds()
    await asyncio.sleep(MEASURED_SECONDS)
    seen, sent = await scene.seen(viewer, start, start + MEASURED_SECONDS), await publisher.log()
    frames_sent = sent.grown("video", "framesSent", began, began + MEASURED_SECONDS)
    share = seen.grown("video", "framesReceived") / frames_sent
    figures(
        concealed=seen.concealed,
        frames_share=share,
        freezes=seen.grown("video", "freezeCount"),
        longest_gap=seen.longest_gap(),
        audio_fec=seen.grown("audio", "fecPacketsReceived"),
        nacks_audio=seen.grown("audio", "nackCount"),
        nacks_video=seen.grown("video", "nackCount"),
        forced_keyframes=sent.grown("video", "pliCount", began, sent.end),
    )
    assert seen.concealed < most_concealed
    assert share > LEAST_FRAMES_SHARE
    await scene.expect_events()
