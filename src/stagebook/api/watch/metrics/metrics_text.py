"""The text of a scrape, made part by part.

prometheus-client takes about half a millisecond for 50 samples. A server with many engines and operations has some
thousand, so the event loop gets a turn after each SAMPLES_PER_TURN. A family is read in one turn, so it is consistent
in itself; two families may be some milliseconds apart.
"""

import asyncio
import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

SAMPLES_PER_TURN: Final = 50
MAXIMUM_MEDIA_RANGES: Final = 32
"""Those of the Accept header field that are looked at. Prometheus sends five."""
TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPENMETRICS: Final = "application/openmetrics-text"
_OPENMETRICS_VERSIONS: Final = frozenset(("0.0.1", "1.0.0"))
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

    `accept` is the value of the Accept header field.
    """
    is_openmetrics = wants_openmetrics(accept)
    generate = generate_openmetrics if is_openmetrics else generate_text
    texts: list[bytes] = []
    samples = 0
    for collect in collects:
        for family in collect():
            for part in _parts(family):
                text = generate(_OneFamily(part)).removesuffix(_OPENMETRICS_END)
                texts.append(text if part is family else _without_comments(text))
                samples += len(part.samples)
                if samples >= SAMPLES_PER_TURN:
                    samples = 0
                    await asyncio.sleep(0)
    if is_openmetrics:
        texts.append(_OPENMETRICS_END)
    return OPENMETRICS_TYPE if is_openmetrics else TEXT_TYPE, b"".join(texts)


def wants_openmetrics(accept: str) -> bool:
    """Return whether a client takes OpenMetrics 1.0, by its Accept header field (RFC 9110 section 12.5.1).

    Not by prometheus-client, which raises for a malformed version and promises versions that it does not write.
    """
    for media_range in accept.lower().split(",", MAXIMUM_MEDIA_RANGES)[:MAXIMUM_MEDIA_RANGES]:
        name, *parameters = (part.strip() for part in media_range.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        is_excluded = values.get("q", "1").strip("0") in ("", ".")
        if name == _OPENMETRICS and values.get("version", "1.0.0") in _OPENMETRICS_VERSIONS and not is_excluded:
            return True
    return False


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
