"""Timestamps in the format of the AWS API, which all APIs use: ISO 8601 in UTC with milliseconds.

Source: the shape trait `timestampFormat: iso8601` of the service model.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso8601(time_ms: int) -> str:
    """Format milliseconds since the epoch, as in `2023-04-26T20:36:28.000Z`."""
    seconds, milliseconds = divmod(time_ms, 1_000)
    return f"{_whole_second(seconds)}.{milliseconds:03d}Z"


def epoch_ms(time: datetime) -> int:
    """Return a time that has an offset in milliseconds since the epoch, rounded down. Exact, without floats."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=4_096)
def _whole_second(seconds: int) -> str:
    # strftime is the expensive part, and many timestamps on one page are in the same second.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
