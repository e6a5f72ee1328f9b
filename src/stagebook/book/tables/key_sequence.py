"""The keys of new rows: integers that only grow, because a key is a position in pages and is never used again."""

from typing import Protocol


class KeySequence(Protocol):
    """The keys of new rows of one table."""

    def take(self) -> int:
        """Return the next key, which is larger than every earlier one of the same account."""

    def give_back(self, key: int) -> None:
        """Take back the newest key, which a refused transaction had taken. It may be given again, or never."""


class FollowingKeys:
    """The keys that follow the largest one so far. For a store with one writer."""

    def __init__(self, last_key: int) -> None:
        self._last_key = last_key

    def take(self) -> int:
        """Return the next key."""
        self._last_key += 1
        return self._last_key

    def give_back(self, key: int) -> None:
        """Take back the newest key."""
        self._last_key = key - 1
