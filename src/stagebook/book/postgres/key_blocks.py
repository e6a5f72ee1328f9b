"""The keys of new rows, in blocks of BLOCK_KEYS that the database numbers.

A key is a position in pages: those of one account must grow with time, whichever node gives them. The database gives
each block once, and the later one has the larger keys. A node uses its blocks for all accounts that it owns. When it
takes an account it throws its blocks away, because the former owner may have used later ones.

New blocks are fetched before they are needed: `low` is called when less than one block is left.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

BLOCK_KEYS: Final = 1_000


class KeyBlocks:
    """Implements `KeySequence`. `fetch` returns the number of a new block at once, for the case that none is left."""

    def __init__(self, *, fetch: Callable[[], int], low: Callable[[], None]) -> None:
        self._fetch = fetch
        self._low = low
        self._newest = self._next = self._end = 0
        self._later: deque[int] = deque()
        """The first keys of the blocks that follow."""

    @property
    def left(self) -> int:
        """How many keys are left."""
        return self._end - self._next + len(self._later) * BLOCK_KEYS

    def add(self, block: int) -> None:
        """Add a block, by its number. One that is older than the newest block so far is thrown away."""
        if block > self._newest:
            self._newest = block
            self._later.append(block * BLOCK_KEYS)

    def throw_away(self) -> None:
        """Forget all blocks."""
        self._next = self._end = 0
        self._later.clear()

    def take(self) -> int:
        """Return the next key. Raises BookFailedError if there is none and no block can be fetched."""
        if self._next == self._end:
            if not self._later:
                self.add(self._fetch())
            self._next = self._later.popleft()
            self._end = self._next + BLOCK_KEYS
        key = self._next
        self._next += 1
        if self.left < BLOCK_KEYS:
            self._low()
        return key

    def give_back(self, key: int) -> None:
        """Take back the newest key, unless its block was thrown away or is used up."""
        if key == self._next - 1 and self._end - key <= BLOCK_KEYS:
            self._next = key
