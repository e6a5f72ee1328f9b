"""What was sent to a peer, by transport-wide sequence number, until the peer's feedback tells what arrived.

The transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2) counts the packets of
all streams of a connection. The engine sends in batches: the packets of a batch have consecutive numbers and one
send time. So a batch is one entry here, whatever its number of packets, and a viewer's packet costs the hot loop
nothing beyond its share of the entry. The sizes of a batch can be one sequence that all viewers share.

Numbers on the wire have 16 bits and wrap. Inside they are not wrapped, and a number of the wire is taken as the
newest one that it can stand for.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

MAX_BATCHES: Final = 1024
"""Entries that are kept: 10 s of audio and 30 frames a second."""
KEPT_SECONDS: Final = 1.0
"""How long a batch is kept after a feedback that begins behind it. Feedback may report a late packet once more."""

SentBatch: TypeAlias = tuple[int, Sequence[int], float]
"""The first number (not wrapped), the sizes of the packets in bytes, and the send time in seconds."""


class SendHistory:
    """The last packets of one connection. All of its streams share it, also those of retransmissions."""

    def __init__(self) -> None:
        self._next = 0
        self._batches: list[SentBatch] = []

    @property
    def next_number(self) -> int:
        """The number of the next packet, not wrapped."""
        return self._next

    def take(self, count: int) -> int:
        """The 16-bit number of the first of `count` packets that are sent next. They are taken, also if not sent."""
        first = self._next
        self._next = first + count
        return first & 0xFFFF

    def add(self, first: int, sizes: Sequence[int], now: float) -> None:
        """Packets with these sizes in bytes, the first with the number that `take` returned, have been sent at `now`.

        `sizes` is kept and must not change. Batches are added in the order of their numbers.
        """
        batches = self._batches
        if len(batches) >= MAX_BATCHES:
            del batches[: MAX_BATCHES // 2]
        batches.append((self.unwrap(first), sizes, now))

    def unwrap(self, number: int) -> int:
        """The newest number taken so far that is `number` modulo 2^16; below 0 if there is none."""
        newest = self._next - 1
        return newest - (newest - number & 0xFFFF)

    def batches(self, first: int, end: int) -> Iterator[SentBatch]:
        """Yield the kept batches that have a number of `first` to `end` (exclusive, not wrapped), in their order."""
        batches = self._batches
        index = max(0, bisect_left(batches, (first + 1,)) - 1)
        while index < len(batches) and batches[index][0] < end:
            batch = batches[index]
            if batch[0] + len(batch[1]) > first:
                yield batch
            index += 1

    def forget(self, before: int, now: float) -> None:
        """Drop the batches before a number (not wrapped) that were sent more than KEPT_SECONDS ago."""
        batches = self._batches
        end = bisect_left(batches, (before,))
        if end and batches[end - 1][0] + len(batches[end - 1][1]) > before:
            end -= 1
        count = 0
        while count < end and now - batches[count][2] > KEPT_SECONDS:
            count += 1
        if count:
            del batches[:count]
