"""The text of a scrape: how long the event loop waits for it at most."""

import asyncio
from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from stagebook.api.watch.metrics.metrics_text import SAMPLES_PER_TURN, write_metrics


def many(families: int) -> Iterator[Metric]:
    for number in range(families):
        family = GaugeMetricFamily(f"family_{number}", "Text.", labels=("number",))
        for sample in range(SAMPLES_PER_TURN // 2):
            family.add_metric((str(sample),), sample)
        yield family


async def test_the_event_loop_gets_a_turn_after_a_number_of_samples() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    _, text = await write_metrics([lambda: many(20)], "")
    counting.cancel()
    assert turns >= 10
    assert text.count(b"# TYPE") == 20
