"""One continuous RTP stream out of several that follow each other: a replaced publisher, another simulcast layer.

Pure arithmetic on sequence numbers and timestamps (RFC 3550 section 5.1). Knows no SSRC, no codec and no packet.
"""

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance


class RtpRewriter:
    """Maps the numbers of the stream that is followed now onto one outgoing stream.

    Within a stream, gaps and reordering are kept, so that receivers see losses as they are and late packets find their
    place. The first packet after a switch takes the sequence number after the highest one sent, and a timestamp later
    by the time that has passed. Packets from before the switch have no place any more.
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
        """Follow another stream from the packet with these numbers on. `now`: monotonic seconds."""
        if self._following:
            next_sequence = self._highest + self._sequence_offset + 1
            # At least one unit: a new frame must never share its timestamp with an old one.
            elapsed = max(1, round((now - self._newest_at) * self._clock_rate))
            self._timestamp_offset = (self._newest_timestamp + elapsed - timestamp) & 0xFFFFFFFF
            self._sequence_offset = next_sequence - sequence
        self._following = True
        self._first = self._highest = sequence
        self._note(self.rewrite_timestamp(timestamp), now)

    def rewrite(self, *, sequence: int, timestamp: int, now: float) -> tuple[int, int] | None:
        """The outgoing (sequence, timestamp) of a packet of the followed stream; None if older than the switch."""
        # Unwrapped against the highest, so that the comparison with the first holds for ever.
        index = self._highest + sequence_distance(sequence, self._highest & 0xFFFF)
        if index < self._first:
            return None
        rewritten = self.rewrite_timestamp(timestamp)
        if index > self._highest:
            self._highest = index
            if timestamp_distance(rewritten, self._newest_timestamp) > 0:
                self._note(rewritten, now)
        return (index + self._sequence_offset) & 0xFFFF, rewritten

    def rewrite_timestamp(self, timestamp: int) -> int:
        """The outgoing timestamp for one of the followed stream, as in its sender reports."""
        return (timestamp + self._timestamp_offset) & 0xFFFFFFFF

    def _note(self, newest_timestamp: int, now: float) -> None:
        self._newest_timestamp = newest_timestamp
        self._newest_at = now
