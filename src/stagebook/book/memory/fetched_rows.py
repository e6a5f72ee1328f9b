"""Rows of the past that were fetched for a decision, until a transaction changes them."""

from collections.abc import Hashable
from typing import Generic, TypeVar

MAXIMUM_ROWS = 4_096
"""How many rows are kept, some megabytes. A decision uses a row at once, so that even a few would do."""

_Row = TypeVar("_Row")


class Fetch:
    """A fetch in progress."""


class FetchedRows(Generic[_Row]):
    """The rows by key; None stands for a row that does not exist."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, _Row | None] = {}
        self._fetching: dict[Hashable, Fetch] = {}

    def begin(self, key: Hashable) -> Fetch:
        """Note that a row is about to be fetched; return what `finish` needs."""
        fetch = self._fetching[key] = Fetch()
        return fetch

    def finish(self, key: Hashable, fetch: Fetch, row: _Row | None) -> bool:
        """Keep a row that was fetched. Returns False for one that may be of an earlier state: it is not kept."""
        if self._fetching.get(key) is not fetch:
            return False
        del self._fetching[key]
        self._rows.pop(key, None)
        self._rows[key] = row
        if len(self._rows) > MAXIMUM_ROWS:
            del self._rows[next(iter(self._rows))]
        return True

    def give_up(self, key: Hashable, fetch: Fetch) -> None:
        """Note that a fetch has failed. Does nothing after `finish`."""
        if self._fetching.get(key) is fetch:
            del self._fetching[key]

    def discard(self, key: Hashable) -> None:
        """Drop a row, because a transaction changes it. One that is being fetched will not be kept."""
        self._rows.pop(key, None)
        self._fetching.pop(key, None)

    def has(self, key: Hashable) -> bool:
        """Return whether a row is at hand."""
        return key in self._rows

    def get(self, key: Hashable) -> _Row | None:
        """Return a row. Raises KeyError if it is not at hand."""
        return self._rows[key]
