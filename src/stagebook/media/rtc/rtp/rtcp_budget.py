"""How much RTCP of one peer is processed: a token bucket (as in RFC 2697, with one rate and one burst).

A datagram of RTCP holds up to some hundred small packets, and one generic NACK names up to 17 sequence numbers in four
bytes. So the size of what arrives says little about the work that it causes. The budget is charged for each unit of
work instead: for each packet and item that is parsed, or for each packet that is looked up for retransmission.
"""


class RtcpBudget:
    """A token bucket. It is full at first, so that a burst after a quiet time is served."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._left = float(burst)
        self._renewed_at: float | None = None

    def renew(self, now: float) -> None:
        """Add what has accrued since the last call, up to the burst. `now` is in monotonic seconds.

        It is apart from `take`, because one clock reading serves all the units of a datagram.
        """
        if self._renewed_at is not None:
            self._left = min(self._burst, self._left + (now - self._renewed_at) * self._per_second)
        self._renewed_at = now

    def take(self) -> bool:
        """Take one unit. False, and nothing is taken, if the budget is used up."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
