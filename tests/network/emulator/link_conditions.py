"""The conditions of one direction of an emulated link."""

import msgspec

OVERHEAD_BYTES = 28
"""What IPv4 and UDP add to a datagram. It counts for the bit rate of a bottleneck and in all counted bytes."""


class LinkConditions(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the packets of one direction. The default passes all of them at once.

    A packet is lost first, then waits in the queue of the bottleneck, then travels for `delay_seconds`.
    """

    loss: float = 0.0
    """The probability that a packet is lost, whatever happened to the one before."""
    burst_loss: float = 0.0
    """The share of packets that is lost in bursts, by Gilbert's model with two states."""
    burst_packets: float = 5.0
    """The mean length of these bursts."""
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    """The delay of each packet differs from `delay_seconds` by up to so much. The order stays: a packet waits for the
    one before it, as in the queue of a radio link."""
    late_share: float = 0.0
    """The probability that a packet takes another path. It arrives `late_seconds` later; others overtake it."""
    late_seconds: float = 0.0
    bitrate_bps: int | None = None
    """The bit rate of the bottleneck, of datagrams with OVERHEAD_BYTES. None: there is no bottleneck."""
    queue_seconds: float = 0.3
    """How long the last packet of a full queue waits. A packet that finds the queue full is dropped."""
    is_blocked: bool = False
    """Whether all packets are lost."""

    @property
    def enters_burst(self) -> float:
        """The probability that a burst of losses begins with a packet."""
        return 0.0 if not self.burst_loss else self.burst_loss / (self.burst_packets * (1 - self.burst_loss))
