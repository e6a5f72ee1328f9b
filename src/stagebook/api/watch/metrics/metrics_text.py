"""The text of a scrape, made family by family.

prometheus-client writes about 100 samples in half a millisecond. A server with many engines and operations has some
thousand, so the event loop gets a turn after each SAMPLES_PER_TURN. Each family is read and written in one turn, so it
is consistent in itself; two families may be some milliseconds apart.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

SAMPLES_PER_TURN: Final = 100
_OPENMETRICS_END: Final = b"# EOF\n"

Collect: TypeAlias = Callable[[], Iterable[Metric]]
"""Reads the state of one part of the server now, as metric families with samples."""


class _OneFamily(Collector):
    """What prometheus-client writes: a collector of one family. No registry is involved."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


async def write_metrics(collects: Iterable[Collect], accept: str) -> tuple[str, bytes]:
    """Return the content type and the text of all families, in the format that `accept` asks for.

    `accept` is the value of the Accept header field: OpenMetrics if it names `application/openmetrics-text`, otherwise
    the text format of Prometheus. A format that ends with a line of its own gets it once.
    """
    encode, content_type = choose_encoder(accept)
    parts: list[bytes] = []
    samples, has_end = 0, False
    for collect in collects:
        for family in collect():
            text = encode(_OneFamily(family))
            has_end = text.endswith(_OPENMETRICS_END)
            parts.append(text.removesuffix(_OPENMETRICS_END))
            samples += len(family.samples)
            if samples >= SAMPLES_PER_TURN:
                samples = 0
                await asyncio.sleep(0)
    return content_type, b"".join((*parts, _OPENMETRICS_END if has_end else b""))
