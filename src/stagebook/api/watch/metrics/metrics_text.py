"""The text of a scrape, made part by part.

prometheus-client takes about half a millisecond for 50 samples. A server with many engines and operations has some
thousand, so the event loop gets a turn after each SAMPLES_PER_TURN. A family is read in one turn, so it is consistent
in itself; two families may be some milliseconds apart.
"""

import asyncio
import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

SAMPLES_PER_TURN: Final = 50
_OPENMETRICS_END: Final = b"# EOF\n"
_COMMENT: Final = b"# "

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
    texts: list[bytes] = []
    samples, has_end = 0, False
    for collect in collects:
        for family in collect():
            for part in _parts(family):
                text = encode(_OneFamily(part))
                has_end = text.endswith(_OPENMETRICS_END)
                text = text.removesuffix(_OPENMETRICS_END)
                texts.append(text if part is family else _without_comments(text))
                samples += len(part.samples)
                if samples >= SAMPLES_PER_TURN:
                    samples = 0
                    await asyncio.sleep(0)
    return content_type, b"".join((*texts, _OPENMETRICS_END if has_end else b""))


def _parts(family: Metric) -> Iterator[Metric]:
    """Yield the family with its first samples, and then copies of it with the others."""
    samples = family.samples
    family.samples = samples[:SAMPLES_PER_TURN]
    yield family
    for start in range(SAMPLES_PER_TURN, len(samples), SAMPLES_PER_TURN):
        part = copy.copy(family)
        part.samples = samples[start : start + SAMPLES_PER_TURN]
        yield part


def _without_comments(text: bytes) -> bytes:
    """Return the text of a part without the lines that describe the family, which its first part has."""
    while text.startswith(_COMMENT):
        text = text.partition(b"\n")[2]
    return text
