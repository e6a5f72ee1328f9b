"""One direction of an emulated link, in virtual time: loss, a bottleneck with a queue, delay, jitter, reordering.

The caller passes the time, and asks when the next packet leaves; nothing here waits. The random numbers come from a
seed. They depend on the order of the packets only, so the n-th packet is lost in each run.
"""

import heapq
import random
from collections import deque
from collections.abc import Sized
from itertools import count
from typing import Generic, TypeVar

from tests.network.emulator.link_conditions import OVERHEAD_BYTES, LinkConditions
from tests.network.emulator.link_counters import LinkMeter

DatagramT = TypeVar("DatagramT", bound=Sized)
"""What a link carries: bytes, or anything else whose length is that of a datagram."""


class EmulatedLink(Generic[DatagramT]):
    """Carries datagrams from `send` to `receive`."""

    def __init__(self, conditions: LinkConditions, *, seed: int, now: float) -> None:
        self.meter = LinkMeter(now)
        self._conditions = conditions
        self._losses = random.Random(f"losses {seed}")
        self._delays = random.Random(f"delays {seed}")
        self._in_burst = False
        self._queue: deque[tuple[float, DatagramT]] = deque()
        """What waits for the bottleneck, with the time of its arrival. The first is being sent."""
        self._queued_bits = 0
        self._remaining_bits = 0.0
        """What is left of the first packet at `_advanced_at`."""
        self._advanced_at = now
        self._travelling: list[tuple[float, int, DatagramT]] = []
        """What has passed the bottleneck: a heap by the time of arrival."""
        self._numbers = count()
        self._latest_arrival = now

    def change(self, conditions: LinkConditions, now: float) -> None:
        """Use other conditions from now on. What waits in the queue leaves at the new rate; what travels goes on."""
        self._advance(now)
        self._conditions = conditions

    def send(self, datagram: DatagramT, now: float) -> None:
        """Send a datagram into the link."""
        self._advance(now)
        size = len(datagram) + OVERHEAD_BYTES
        self.meter.offered(size, now)
        if self._loses():
            self.meter.lost(now)
        elif self._conditions.bitrate_bps is None and not self._queue:
            self._travel(datagram, now)
        elif self._is_full():
            self.meter.overflowed(now)
        else:
            self._queue.append((now, datagram))
            self._queued_bits += 8 * size
            if len(self._queue) == 1:
                self._remaining_bits = 8 * size

    def receive(self, now: float) -> list[DatagramT]:
        """The datagrams that have arrived, in the order of their arrival."""
        self._advance(now)
        arrived = []
        while self._travelling and self._travelling[0][0] <= now:
            _, _, datagram = heapq.heappop(self._travelling)
            self.meter.delivered(len(datagram) + OVERHEAD_BYTES, now)
            arrived.append(datagram)
        return arrived

    def next_arrival(self) -> float | None:
        """The time at which `receive` should be called again; None if nothing is on its way.

        A packet that waits for the bottleneck has not begun to travel: its time is that of its departure.
        """
        times = [self._travelling[0][0]] if self._travelling else []
        if self._queue:
            rate = self._conditions.bitrate_bps
            times.append(self._advanced_at + (0.0 if rate is None else self._remaining_bits / rate))
        return min(times, default=None)

    def _loses(self) -> bool:
        conditions = self._conditions
        rolls = self._losses.random(), self._losses.random()
        ends = 1 / conditions.burst_packets
        self._in_burst = rolls[0] >= ends if self._in_burst else rolls[0] < conditions.enters_burst
        return conditions.is_blocked or self._in_burst or rolls[1] < conditions.loss

    def _is_full(self) -> bool:
        rate = self._conditions.bitrate_bps
        return rate is not None and self._queued_bits >= rate * self._conditions.queue_seconds

    def _advance(self, now: float) -> None:
        """Let the bottleneck work until `now`."""
        while self._queue:
            rate = self._conditions.bitrate_bps
            leaves_at = self._advanced_at + (0.0 if rate is None else self._remaining_bits / rate)
            if leaves_at > now:
                self._remaining_bits -= (now - self._advanced_at) * (rate or 0)
                break
            self._advanced_at = leaves_at
            self._depart()
        self._advanced_at = max(now, self._advanced_at)

    def _depart(self) -> None:
        arrived_at, datagram = self._queue.popleft()
        self._queued_bits -= 8 * (len(datagram) + OVERHEAD_BYTES)
        self.meter.waited(self._advanced_at - arrived_at, self._advanced_at)
        self._travel(datagram, self._advanced_at)
        if self._queue:
            self._remaining_bits = 8 * (len(self._queue[0][1]) + OVERHEAD_BYTES)

    def _travel(self, datagram: DatagramT, now: float) -> None:
        conditions = self._conditions
        jitter = conditions.jitter_seconds * (2 * self._delays.random() - 1)
        arrival = max(now + conditions.delay_seconds + jitter, self._latest_arrival)
        if self._delays.random() < conditions.late_share:
            arrival += conditions.late_seconds
        else:
            self._latest_arrival = arrival
        heapq.heappush(self._travelling, (arrival, next(self._numbers), datagram))
