"""Joins several RTP streams, one after another, to one continuous stream.

A viewer receives one stream for each track, with one SSRC, for as long as it watches. Behind it the forwarder follows
one incoming stream after another: another simulcast layer, or a new publisher of the same source. Each of these starts
at random values (RFC 3550 section 5.1). A jump in sequence numbers would look like a loss of thousands of packets, and
a jump in timestamps would stall the jitter buffer. So the rewriter adds an offset to both and computes new offsets at
each switch.
"""

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance


class RtpRewriter:
    """Maps the sequence numbers and timestamps of the followed stream to those of one outgoing stream.

    Within a followed stream, gaps and reordering are kept: receivers detect losses by the gaps and put late packets in
    their place. The first packet after a switch gets the next sequence number after the highest one sent, and the
    newest timestamp plus the time that has passed. Packets from before the switch are dropped.
    """

    def __init__(self, *, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._following = False
        self._first = 0
        self._highest = 0
        self._sequence_offset = 0
        self._timestamp_offset = 0
        self._newest_timestamp = 0
        self._newest_at = 0.0

    def switch(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Follow another stream, beginning with the packet that has these numbers. `now` is in monotonic seconds."""
        if self._following:
            next_sequence = self._highest + self._sequence_offset + 1
            # At least one unit, because packets with equal timestamps belong to one frame.
            elapsed = max(1, round((now - self._newest_at) * self._clock_rate))
            self._timestamp_offset = (self._newest_timestamp + elapsed - timestamp) & 0xFFFFFFFF
            self._sequence_offset = next_sequence - sequence
        self._following = True
        self._first = self._highest = sequence
        self._set_newest(self.rewrite_timestamp(timestamp), now)

    def rewrite(self, *, sequence: int, timestamp: int, now: float) -> tuple[int, int] | None:
        """Return the outgoing sequence number and timestamp of a packet of the followed stream.

        Return None if the packet is older than the one that the stream was followed from.
        """
        # The index is the sequence number without wrapping, so it can be compared with the first one at any time.
        index = self._highest + sequence_distance(sequence, self._highest & 0xFFFF)
        if index < self._first:
            return None
        rewritten = self.rewrite_timestamp(timestamp)
        if index > self._highest:
            self._highest = index
            if timestamp_distance(rewritten, self._newest_timestamp) > 0:
                self._set_newest(rewritten, now)
        return (index + self._sequence_offset) & 0xFFFF, rewritten

    def rewrite_timestamp(self, timestamp: int) -> int:
        """Return the outgoing timestamp for a timestamp of the followed stream, for example of its sender reports."""
        return (timestamp + self._timestamp_offset) & 0xFFFFFFFF

    def _set_newest(self, newest_timestamp: int, now: float) -> None:
        self._newest_timestamp = newest_timestamp
        self._newest_at = now
