"""Joins several RTP streams, one after another, to one continuous stream.

A viewer receives one stream for each track, with one SSRC, for as long as it watches. Behind it the forwarder follows
one incoming stream after another: another simulcast layer, or a new publisher of the same source. Each of these starts
at random values (RFC 3550 section 5.1). A jump in sequence numbers would look like a loss of thousands of packets, and
a jump in timestamps would stall the jitter buffer. So the rewriter adds an offset to both and computes new offsets at
each switch.

A packet of our own can be inserted before a packet of the followed stream. It takes that packet's number, and the
number of each later packet grows by one. Packets that arrive late, from before the insertion, keep their numbers.
"""

from bisect import bisect_right

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance

_MAX_INSERTIONS = 64
"""Insertions that are remembered for late packets. A packet from before an older one is dropped."""


class RtpRewriter:
    """Maps the sequence numbers and timestamps of the followed stream to those of one outgoing stream.

    Within a followed stream, gaps and reordering are kept: receivers detect losses by the gaps and put late packets in
    their place. The first packet after a switch gets the next sequence number after the highest one sent, and the
    newest timestamp plus the time that has passed. Packets from before the switch are dropped.
    """

    def __init__(self, *, clock_rate: int, newest: tuple[int, float] | None = None) -> None:
        """With `newest` of another stream's rewriter, the timestamps continue those of that stream."""
        self._clock_rate = clock_rate
        self._following = False
        self._first = 0
        self._highest = 0
        self._sequence_offset = 0
        self._insertions: list[int] = []
        """The index of the packet before which each packet was inserted, in ascending order."""
        self._timestamp_offset = 0
        self.newest = newest
        """The newest outgoing timestamp, and when its packet arrived in monotonic seconds. None before the first."""

    def switch(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Follow another stream, beginning with the packet that has these numbers. `now` is in monotonic seconds."""
        if self._following:
            self._sequence_offset = self._number(self._highest) + 1 - sequence
        if self.newest is not None:
            newest_timestamp, newest_at = self.newest
            # At least one unit, because packets with equal timestamps belong to one frame.
            elapsed = max(1, round((now - newest_at) * self._clock_rate))
            self._timestamp_offset = (newest_timestamp + elapsed - timestamp) & 0xFFFFFFFF
        self._insertions.clear()
        self._following = True
        self._first = self._highest = sequence
        self.newest = self.rewrite_timestamp(timestamp), now

    def rewrite(self, *, sequence: int, timestamp: int, now: float) -> tuple[int, int] | None:
        """Return the outgoing sequence number and timestamp of a packet of the followed stream.

        Return None if the packet is older than the one that the stream was followed from.
        """
        index = self._index(sequence)
        if index < self._first:
            return None
        rewritten = self.rewrite_timestamp(timestamp)
        if index > self._highest:
            self._highest = index
            if self.newest is None or timestamp_distance(rewritten, self.newest[0]) > 0:
                self.newest = rewritten, now
        return self._number(index) & 0xFFFF, rewritten

    def insert(self, *, sequence: int) -> int | None:
        """Insert a packet before the one with this number, which must be the newest and not yet rewritten. Return the
        outgoing sequence number of the inserted packet; None if the other one will be dropped."""
        index = self._index(sequence)
        if index < self._first:
            return None
        number = self._number(index) & 0xFFFF
        self._insertions.append(index)
        if len(self._insertions) > _MAX_INSERTIONS:
            self._first = max(self._first, self._insertions.pop(0))
            self._sequence_offset += 1
        return number

    def rewrite_timestamp(self, timestamp: int) -> int:
        """Return the outgoing timestamp for a timestamp of the followed stream, for example of its sender reports."""
        return (timestamp + self._timestamp_offset) & 0xFFFFFFFF

    def _index(self, sequence: int) -> int:
        """The sequence number without wrapping, so that it can be compared with the first one at any time."""
        return self._highest + sequence_distance(sequence, self._highest & 0xFFFF)

    def _number(self, index: int) -> int:
        """The outgoing sequence number of an index, without wrapping."""
        inserted = len(self._insertions)
        if inserted and index < self._insertions[-1]:
            inserted = bisect_right(self._insertions, index)
        return index + self._sequence_offset + inserted
