"""Times as the AWS wire writes them: ISO 8601, UTC, milliseconds, `Z` (shape trait `timestampFormat: iso8601`)."""

from datetime import UTC, datetime
from functools import lru_cache


def iso8601(time_ms: int) -> str:
    """Return milliseconds since the epoch as in `2023-04-26T20:36:28.000Z`."""
    seconds, milliseconds = divmod(time_ms, 1_000)
    return f"{_whole_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=4_096)
def _whole_second(seconds: int) -> str:
    # Formatting is the dear part, and the times on one page share their seconds.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
