"""The spools of compositions that are over: what the store has not taken yet, for the metrics and for completion."""

from collections.abc import Collection
from pathlib import Path

import msgspec


class LeftSpools(msgspec.Struct, frozen=True, kw_only=True):
    """The spools that no composition process uses."""

    names: tuple[str, ...] = ()
    """Each is the id of a composition. Sorted."""
    oldest_seconds: float = 0.0
    """How long the oldest of them has not changed; 0 without one."""


def left_spools(folder: Path, *, in_use: Collection[str], now: float) -> LeftSpools:
    """Return the spools in a folder but those `in_use`. `now` is in seconds since the epoch. Blocks. Raises OSError."""
    if not folder.is_dir():
        return LeftSpools()
    left = [path for path in folder.iterdir() if path.is_dir() and path.name not in in_use]
    ages = [now - path.stat().st_mtime for path in left]
    return LeftSpools(names=tuple(sorted(path.name for path in left)), oldest_seconds=max(0.0, *ages) if ages else 0.0)
