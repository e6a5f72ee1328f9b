"""How taps of real engine processes begin and end."""

import pytest

from stagebook.media.port import MediaRefusedError, RefusalReason
from tests.media.rtc.engine.running_pool import running_pool, until
from tests.media.tap.recorded_taps import recorded_taps


async def test_a_tap_ends_with_its_source() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        await scenario.publish("a")
        await scenario.publish("b")
        for source in ("a", "b"):
            await scenario.pool.open_tap(source, taps.accept)
        await until(lambda: taps.are_connected)
        scenario.pool.end_source(source_id="a")
        await until(lambda: taps.ended == ["0"])


async def test_the_loss_of_the_engine_ends_all_taps_of_its_sources() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        await scenario.publish("a")
        for _ in range(2):
            await scenario.pool.open_tap("a", taps.accept)
        await until(lambda: taps.are_connected)
        scenario.kill()
        await until(lambda: sorted(taps.ended) == ["0", "1"])


async def test_a_source_that_does_not_exist_cannot_be_tapped() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.pool.open_tap("a", taps.accept)
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
