"""A scrape of a running server, parsed by prometheus-client."""

import asyncio
import time
from collections.abc import Callable
from urllib.request import urlopen

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

DEADLINE_SECONDS = 25.0
POLL_SECONDS = 0.1


class ScrapedMetrics:
    """The families of one scrape, by the name in the text format (a counter's ends with `_total`)."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {
            family.name + ("_total" if family.type == "counter" else ""): family
            for family in text_string_to_metric_families(text)
        }

    def value(self, sample_name: str, /, **labels: str) -> float:
        """Return the sum of the samples called `sample_name` that have these labels."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == sample_name and labels.items() <= sample.labels.items()
        )


def scrape(endpoint_url: str) -> ScrapedMetrics:
    """Scrape a server from this machine. Blocks."""
    with urlopen(f"{endpoint_url}/metrics", timeout=10) as response:  # noqa: S310 - the URL is the test server's
        return ScrapedMetrics(response.read().decode())


async def scrape_until(endpoint_url: str, condition: Callable[[ScrapedMetrics], bool]) -> ScrapedMetrics:
    """Scrape until the condition holds; return that scrape. Engines report every two seconds."""
    deadline_seconds = time.monotonic() + DEADLINE_SECONDS
    while not condition(scraped := await asyncio.to_thread(scrape, endpoint_url)):
        assert time.monotonic() < deadline_seconds
        await asyncio.sleep(POLL_SECONDS)
    return scraped
