"""Continuous numbers for a stream whose parts come from other streams: sequence numbers, VP8 picture ids. Sans-I/O.

A number wraps at a power of two. The first number after `follow` gets the number behind the highest one of before.
Then gaps and reordering are kept: what is missing keeps its number, so that it can still come. Two things change the
numbers that follow: one that is inserted, and one that is left out. What arrives late, from before such a change, keeps
its place.
"""

from bisect import bisect_right
from typing import Final

_MAX_CHANGES: Final = 512
"""Insertions and omissions that are remembered. What is from before an older one is dropped."""


class Renumbering:
    """Maps the numbers of the followed stream to those of one continuous stream."""

    __slots__ = ("_changes", "_first", "_half", "_highest", "_is_following", "_mask", "_offset", "_totals")

    def __init__(self, *, bits: int) -> None:
        """`bits` is the size of a number."""
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self._is_following = False
        self._first = 0
        self._highest = 0
        self._offset = 0
        self._changes: list[int] = []
        """The index of the number at which each change took place, in ascending order."""
        self._totals: list[int] = []
        """What all changes up to this one add to the numbers from it on."""

    def follow(self, number: int, *, behind: int | None = None) -> None:
        """Follow another stream, beginning with this number. It becomes the number after the highest one so far, or
        after `behind`."""
        if behind is not None:
            self._offset = behind + 1 - number
        elif self._is_following:
            self._offset = self._number(self._highest) + 1 - number
        self._changes.clear()
        self._totals.clear()
        self._is_following = True
        self._first = self._highest = number

    def map(self, number: int) -> int | None:
        """The new number for one of the followed stream. None if it is from before the first one."""
        # `_index` without the call: this runs for each packet.
        highest = self._highest
        distance = (number - highest) & self._mask
        index = highest + (distance - self._mask - 1 if distance >= self._half else distance)
        if index < self._first:
            return None
        if index > highest:
            self._highest = index
        return (self._number(index) if self._changes else index + self._offset) & self._mask

    def insert(self, number: int) -> int | None:
        """Insert one before this number, which must be the newest and not yet mapped. Return the new number of the
        inserted one; None if the other one will be dropped."""
        index = self._index(number)
        if index < self._first:
            return None
        inserted = self._number(index) & self._mask
        self._change(index, 1)
        return inserted

    def leave_out(self, number: int) -> bool:
        """Leave out this number, which has not been mapped: the ones behind it close up. False if later ones have been
        mapped already: then its place stays."""
        index = self._index(number)
        if index <= self._highest:
            return False
        self._highest = index
        self._change(index, -1)
        return True

    @property
    def last(self) -> int | None:
        """The new number of the highest one; None before the first."""
        return self._number(self._highest) & self._mask if self._is_following else None

    def _change(self, index: int, step: int) -> None:
        total = self._totals[-1] if self._totals else 0
        self._changes.append(index)
        self._totals.append(total + step)
        if len(self._changes) > _MAX_CHANGES:
            # In halves, so that the cost of a change does not depend on how many there are.
            half = _MAX_CHANGES // 2
            forgotten = self._totals[half - 1]
            self._first = max(self._first, self._changes[half - 1])
            self._offset += forgotten
            self._changes = self._changes[half:]
            self._totals = [each - forgotten for each in self._totals[half:]]

    def _index(self, number: int) -> int:
        """The number without wrapping, so that it can be compared with the first one at any time."""
        distance = (number - self._highest) & self._mask
        return self._highest + (distance - self._mask - 1 if distance >= self._half else distance)

    def _number(self, index: int) -> int:
        """The new number of an index, without wrapping."""
        changes = self._changes
        if not changes:
            return index + self._offset
        if index >= changes[-1]:
            return index + self._offset + self._totals[-1]
        before = bisect_right(changes, index)
        return index + self._offset + (self._totals[before - 1] if before else 0)
