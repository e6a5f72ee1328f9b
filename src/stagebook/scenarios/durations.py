"""Durations as people write them: `90`, `1.5s`, `250ms`, `1m30s`, `25h`."""

import re

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAXIMUM_TEXT_LENGTH = 64


def duration_ms(value: float | str) -> int:
    """Return a duration in milliseconds. A number is in seconds. Raises ValueError that says the rule."""
    if isinstance(value, str) and len(value) <= MAXIMUM_TEXT_LENGTH:
        text = value.strip()
        parts = list(_PART.finditer(text))
        if parts and "".join(part.group() for part in parts) == text:
            return round(sum(float(number) * _UNIT_MS[unit] for number, unit in (part.groups() for part in parts)))
    elif not isinstance(value, str) and 0 <= value < float("inf"):
        return round(value * 1_000)
    raise ValueError("must be a number of seconds of at least 0, or a text such as 250ms, 10s, 1m30s, 25h or 7d")


def clock_text(milliseconds: int) -> str:
    """Return a time since the start of a scenario: `00:01:30`, or `00:01:30.250` with a fraction."""
    seconds, fraction = divmod(milliseconds, 1_000)
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}:{second:02}"
    return f"{text}.{fraction:03}" if fraction else text
