"""Publishers that estimate their line by the transport-wide feedback of the engine."""

import asyncio

import pytest

from tests.network.emulator.link_conditions import LinkConditions
from tests.network.scenarios.scene import Figures, Scene

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

CLEAN = LinkConditions(delay_seconds=0.02)
NARROW = LinkConditions(delay_seconds=0.02, bitrate_bps=1_000_000)
SETTLED_SECONDS = 5.0
MEASURED_SECONDS = 10.0


async def test_the_estimate_follows_a_line_of_1_megabit(scene: Scene, figures: Figures) -> None:
    publisher = await scene.publish(to_server=CLEAN, to_peer=CLEAN)
    await publisher.relay.change(to_server=NARROW)
    await asyncio.sleep(SETTLED_SECONDS)
    start, before = await publisher.seconds(), (await publisher.relay.report()).to_server.total
    await asyncio.sleep(MEASURED_SECONDS)
    log, link = await publisher.log(), (await publisher.relay.report()).to_server.total
    offered_bps = 8 * (link.offered_bytes - before.offered_bytes) / (log.end - start)
    figures(
        offered_bps=offered_bps,
        last_available_bps=log.last("pair", "availableOutgoingBitrate"),
        overflow_packets=link.overflow_packets - before.overflow_packets,
    )
    assert offered_bps <= 1_100_000
    await scene.expect_events()
