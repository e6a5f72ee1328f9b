"""A bottleneck under one viewer that shrinks and grows again, while nine others have no limit."""

import asyncio
from pathlib import Path

import pytest

from tests.network.emulator.link_conditions import LinkConditions
from tests.network.scenarios.scene import LAYERS, Figures, Scene

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

WIDE = LinkConditions(bitrate_bps=3_000_000, queue_seconds=0.3, delay_seconds=0.02)
NARROW = LinkConditions(bitrate_bps=600_000, queue_seconds=0.3, delay_seconds=0.02)
OTHERS = 9
WIDE_SECONDS, NARROW_SECONDS, RECOVERY_SECONDS = 5.0, 10.0, 12.5
TOP_WIDTH = 640
MAX_FREEZE_SECONDS, MAX_RECOVERY_SECONDS = 3.0, 10.0
"""On a busy machine. docs/media.md has what was measured."""


async def test_one_viewer_follows_its_line_and_nine_others_notice_nothing(
    scene: Scene, figures: Figures, pion_program: Path
) -> None:
    publisher = await scene.publish(encodings=LAYERS)
    async with scene.crowd(pion_program, OTHERS) as crowd:
        viewer = await scene.watch(to_peer=WIDE)
        await viewer.wait_for_log(f"(sample) => sample.video?.frameWidth === {TOP_WIDTH}")
        await asyncio.sleep(WIDE_SECONDS)
        before = await crowd.report()
        start, began = await viewer.seconds(), await publisher.seconds()
        await viewer.relay.change(to_peer=NARROW)
        await asyncio.sleep(NARROW_SECONDS)
        widened = await viewer.seconds()
        await viewer.relay.change(to_peer=WIDE)
        await asyncio.sleep(RECOVERY_SECONDS)
        after, sent = await crowd.report(), await publisher.log()
        seen = await scene.seen(viewer, start, widened + RECOVERY_SECONDS)
    log = seen.log
    lower = [time - start for time, width in log.values("video", "frameWidth") if time > start and width < TOP_WIDTH]
    narrow_width = log.at("video", "frameWidth", widened)
    top = log.first_at("video", "frameWidth", widened, TOP_WIDTH) if narrow_width < TOP_WIDTH else None
    gap = seen.longest_gap()
    missing = sum(after[each]["video"].missing - before[each]["video"].missing for each in after)
    packets = [after[each]["video"].packets - before[each]["video"].packets for each in after]
    others_gap = max(each["video"].max_gap_ms for each in after.values())
    own_gap = 1000 * sent.longest_gap("video.high", "framesSent", began, sent.end)
    widths = {
        width for name, each in after.items() for width in each["video"].widths[len(before[name]["video"].widths) - 1 :]
    }
    figures(
        seconds_to_lower_layer=lower[0] if lower else -1,
        narrow_width=narrow_width,
        longest_gap=gap,
        seconds_to_top=-1 if top is None else top,
        concealed=seen.concealed,
        offered_narrow_bps=seen.offered_bps(start + 2, widened),
        others_missing=missing,
        others_packets=f"{min(packets)} to {max(packets)}",
        others_gap_ms=others_gap,
        publisher_gap_ms=own_gap,
        others_widths=sorted(widths),
        forced_keyframes=sum(
            sent.grown(f"video.{rid}", "pliCount", began, sent.end) for rid in ("low", "middle", "high")
        ),
    )
    assert gap <= MAX_FREEZE_SECONDS
    assert top is not None
    assert top <= MAX_RECOVERY_SECONDS
    assert missing == 0
    assert widths == {TOP_WIDTH}
    await scene.expect_events()
