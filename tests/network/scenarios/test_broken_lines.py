"""Lines that break: UDP that is blocked in mid-call, another port, and a machine that sleeps."""

import asyncio

import pytest

from tests.network.emulator.link_conditions import LinkConditions
from tests.network.scenarios.scene import Figures, Scene

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

BLOCKED = LinkConditions(is_blocked=True)
SMALL = [{"maxBitrate": 500_000, "scaleResolutionDownBy": 2}]
SLEEP_SECONDS = 40.0
NOTICED_SECONDS = 1.0
"""After this time all packets that were on their way have arrived."""


async def test_media_goes_on_by_tcp_when_udp_is_blocked(scene: Scene, figures: Figures) -> None:
    publisher = await scene.publish(encodings=SMALL, wait=False, keep_tcp=True)
    viewer = await scene.watch(keep_tcp=True)
    await viewer.wait_for_log("(sample) => sample.video?.framesDecoded > 30")
    start = await viewer.seconds()
    for participant in (publisher, viewer):
        await participant.keep_connected()
        await participant.relay.change(to_server=BLOCKED, to_peer=BLOCKED)
    await asyncio.sleep(NOTICED_SECONDS)
    await viewer.wait_for_more_frames(40)
    seen = await scene.seen(viewer, start, await viewer.seconds())
    figures(longest_gap=seen.longest_gap(), concealed=seen.concealed, frames=seen.frames)
    await scene.expect_events()


async def test_media_goes_on_after_a_change_of_both_addresses(scene: Scene, figures: Figures) -> None:
    publisher = await scene.publish(encodings=SMALL, wait=False)
    viewer = await scene.watch()
    await viewer.wait_for_log("(sample) => sample.video?.framesDecoded > 30")
    start = await viewer.seconds()
    await publisher.relay.rebind()
    await viewer.relay.rebind()
    await viewer.wait_for_more_frames(60)
    seen = await scene.seen(viewer, start, await viewer.seconds())
    figures(longest_gap=seen.longest_gap(), concealed=seen.concealed)
    await scene.expect_events()


async def test_participants_that_sleep_for_40_seconds_leave_once(scene: Scene, figures: Figures) -> None:
    publisher = await scene.publish(encodings=SMALL, wait=False)
    sleeper = await scene.watch()
    await sleeper.wait_for_log("(sample) => sample.video?.framesDecoded > 10")
    for participant in (publisher, sleeper):
        await participant.relay.change(to_server=BLOCKED, to_peer=BLOCKED)
    await asyncio.sleep(SLEEP_SECONDS)
    for participant in (publisher, sleeper):
        await participant.relay.change(to_server=LinkConditions(), to_peer=LinkConditions())
    await scene.expect_events(connected=False)
    figures(states=[await each.run("() => connection.connections") for each in (publisher, sleeper)])
