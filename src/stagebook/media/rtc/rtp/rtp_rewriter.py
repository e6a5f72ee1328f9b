"""Joins several RTP streams, one after another, to one continuous stream.

A viewer receives one stream for each track, with one SSRC, for as long as it watches. Behind it the forwarder follows
one incoming stream after another: another simulcast layer, or a new publisher of the same source. Each of these starts
at random values (RFC 3550 section 5.1). A jump in sequence numbers would look like a loss of thousands of packets, and
a jump in timestamps would stall the jitter buffer. So the rewriter renumbers the packets (`renumbering`), and adds an
offset to the timestamps that it computes at each switch.

A packet of our own can be inserted before a packet of the followed stream. It takes that packet's number, and the
number of each later packet grows by one. Packets that arrive late, from before the insertion, keep their numbers.
"""

from stagebook.media.rtc.rtp.renumbering import Renumbering
from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance

_SEQUENCE_BITS = 16


class RtpRewriter:
    """Maps the sequence numbers and timestamps of the followed stream to those of one outgoing stream.

    Within a followed stream, gaps and reordering are kept: receivers detect losses by the gaps and put late packets in
    their place. The first packet after a switch gets the next sequence number after the highest one sent, and the
    newest timestamp plus the time that has passed. Packets from before the switch are dropped.
    """

    def __init__(self, *, clock_rate: int, newest: tuple[int, float] | None = None) -> None:
        """With `newest` of another stream's rewriter, the timestamps continue those of that stream."""
        self._clock_rate = clock_rate
        self._sequences = Renumbering(bits=_SEQUENCE_BITS)
        self._timestamp_offset = 0
        self.newest = newest
        """The newest outgoing timestamp, and when its packet arrived in monotonic seconds. None before the first."""

    def switch(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Follow another stream, beginning with the packet that has these numbers. `now` is in monotonic seconds."""
        self._sequences.follow(sequence)
        if self.newest is not None:
            newest_timestamp, newest_at = self.newest
            # At least one unit, because packets with equal timestamps belong to one frame.
            elapsed = max(1, round((now - newest_at) * self._clock_rate))
            self._timestamp_offset = (newest_timestamp + elapsed - timestamp) & 0xFFFFFFFF
        self.newest = self.rewrite_timestamp(timestamp), now

    def rewrite(self, *, sequence: int, timestamp: int, now: float) -> tuple[int, int] | None:
        """Return the outgoing sequence number and timestamp of a packet of the followed stream.

        Return None if the packet is older than the one that the stream was followed from.
        """
        number = self._sequences.map(sequence)
        if number is None:
            return None
        # `rewrite_timestamp` without the call: this runs for each packet.
        rewritten = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        newest = self.newest
        # The packets of a frame have one timestamp.
        if newest is None or (rewritten != newest[0] and timestamp_distance(rewritten, newest[0]) > 0):
            self.newest = rewritten, now
        return number, rewritten

    def insert(self, *, sequence: int) -> int | None:
        """Insert a packet before the one with this number, which must be the newest and not yet rewritten. Return the
        outgoing sequence number of the inserted packet; None if the other one will be dropped."""
        return self._sequences.insert(sequence)

    def rewrite_timestamp(self, timestamp: int) -> int:
        """Return the outgoing timestamp for a timestamp of the followed stream, for example of its sender reports."""
        return (timestamp + self._timestamp_offset) & 0xFFFFFFFF
