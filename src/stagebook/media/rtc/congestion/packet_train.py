"""Measures what a path carries by a packet train: packets of one size that are sent at one time.

A bottleneck spreads them evenly, one packet's time apart. So their usual distance tells the bitrate after some tens of
milliseconds, before a first keyframe has filled the queue. A receiver that is late by itself reads several packets at
once: a few distances are large then and the others are 0. So the distances at both ends of the order do not count, and
a train that was not spread evenly says nothing.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

MIN_PACKETS: Final = 9
MAX_CAPACITY_BPS: Final = 3_000_000
"""What is above is left to the other measurements: the distances are as small as the jitter of a local network."""


def train_capacity_bps(arrivals_seconds: Sequence[float], packet_bytes: float) -> float | None:
    """What a path carries, by the arrivals of a train in the order of sending; None if they do not say.

    `packet_bytes` is the mean size of the packets.
    """
    if len(arrivals_seconds) < MIN_PACKETS:
        return None
    gaps = sorted(after - before for before, after in pairwise(arrivals_seconds))
    quarter = len(gaps) // 4
    middle = gaps[quarter : len(gaps) - quarter]
    seconds = sum(middle) / len(middle)
    is_even = middle[0] > seconds / 2
    capacity_bps = packet_bytes * 8 / seconds if is_even and seconds > 0 else float("inf")
    return capacity_bps if capacity_bps < MAX_CAPACITY_BPS else None
