"""The text of a scrape: complete, and with turns for others in between."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stagebook.api.watch.metrics.metrics_text import SAMPLES_PER_TURN, wants_openmetrics, write_metrics

FORMATS = ["", "application/openmetrics-text; version=1.0.0"]


def many(families: int) -> Iterator[Metric]:
    for number in range(families):
        family = GaugeMetricFamily(f"family_{number}", "Text.", labels=("number",))
        for sample in range(SAMPLES_PER_TURN // 2):
            family.add_metric((str(sample),), sample)
        yield family


def large() -> Iterator[Metric]:
    family = HistogramMetricFamily("durations", "Text.", labels=("operation",))
    for number in range(SAMPLES_PER_TURN):
        family.add_metric((str(number),), buckets=[("1.0", number), ("+Inf", number + 1)], sum_value=number)
    yield family


@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize(("collect", "turns_at_least"), [(lambda: many(20), 10), (large, 4)])
async def test_the_event_loop_gets_a_turn_after_a_number_of_samples(
    accept: str, collect: object, turns_at_least: int
) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await write_metrics([collect], accept)  # type: ignore[list-item]  # both are callables
    counting.cancel()
    assert turns >= turns_at_least


@pytest.mark.parametrize("accept", FORMATS)
async def test_a_family_that_is_written_in_parts_is_one_family(accept: str) -> None:
    _, text = await write_metrics([large, lambda: many(1)], accept)
    assert [text.count(mark) for mark in (b"# HELP", b"# TYPE")] == [2, 2]
    samples = [line for line in text.decode().splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples)) == 4 * SAMPLES_PER_TURN + SAMPLES_PER_TURN // 2


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text", True),
        # Prometheus 2.42 and 3.5.
        (
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            ),
            True,
        ),
        (
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
                "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            True,
        ),
        ("Application/OpenMetrics-Text; Version=1.0.0", True),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;version=abc", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.000,text/plain", False),
        ("application/openmetrics-text-more", False),
        ("," * 1_000 + "application/openmetrics-text", False),
    ],
)
def test_openmetrics_is_for_clients_that_ask_for_it(accept: str, *, expected: bool) -> None:
    assert wants_openmetrics(accept) is expected


@given(st.text())
def test_any_accept_header_is_answered(accept: str) -> None:
    assert wants_openmetrics(accept) in (True, False)


async def test_openmetrics_can_be_parsed() -> None:
    _, text = await write_metrics([large, lambda: many(3)], FORMATS[1])
    parsed = list(text_string_to_metric_families(text.decode()))  # type: ignore[no-untyped-call]
    assert [len(family.samples) for family in parsed] == [4 * SAMPLES_PER_TURN] + [SAMPLES_PER_TURN // 2] * 3
