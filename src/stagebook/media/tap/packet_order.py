"""The packets of one RTP stream in the order of their sequence numbers: the jitter buffer of a tap. Sans-I/O.

A packet that continues the stream is handed on at once. One behind a gap waits until the gap is filled: the engine has
requested the missing packets (RFC 4585 section 6.2.1), and they come by reordering, by RTX (RFC 4588) or repeated in
later packets (RFC 2198). A gap that is not filled in time is skipped, and the reader of the packets is told.

What waits is bounded in time, in packets and in bytes. A heap has the waiting packets, so that no packet costs more
than the logarithm of their number.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.rtp.stream_receiver import MAX_DROPOUT_PACKETS

MAX_WAITING_PACKETS: Final = 1024
MAX_WAITING_BYTES: Final = 1 << 20


class MediaPacket(NamedTuple):
    """What is needed of an RTP packet to make frames."""

    timestamp: int
    marker: int
    payload: bytes


class PacketOrder:
    """The jitter buffer of one SSRC."""

    def __init__(self, *, patience_seconds: float) -> None:
        """A gap is given up after `patience_seconds`."""
        self._patience_seconds = patience_seconds
        self._next: int | None = None
        """The index of the packet to hand on next: its sequence number without wraps."""
        self._waiting: dict[int, tuple[MediaPacket, float]] = {}
        """Packets behind a gap, by index, with the times of their arrival."""
        self._indexes: list[int] = []
        """A heap of their indexes."""
        self._waiting_bytes = 0
        self._highest = 0
        """The highest index that has waited."""
        self._stray: int | None = None

    def is_missing(self, sequence: int) -> bool:
        """Whether a packet is one of a gap."""
        if self._next is None or not self._waiting:
            return False
        index = self._next + sequence_distance(sequence, self._next & 0xFFFF)
        return self._next <= index < self._highest and index not in self._waiting

    def add(self, sequence: int, packet: MediaPacket, now: float) -> Sequence[MediaPacket | None]:
        """Add a packet, and return those that can be handed on, with None in the place of a gap that is given up.

        A duplicate, and one of a gap that was given up, is ignored. Two packets in a row with numbers far away mean
        that the sender has restarted (RFC 3550 appendix A.1): its packets follow after a None.
        """
        following = self._next
        if following is None:
            self._next = sequence + 1
            return (packet,)
        distance = sequence_distance(sequence, following & 0xFFFF)
        if distance == 0 and not self._waiting:
            self._next = following + 1
            return (packet,)
        if abs(distance) > MAX_DROPOUT_PACKETS:
            return self._receive_stray(sequence, packet)
        self._stray = None
        index = following + distance
        if distance < 0 or index in self._waiting:
            return ()
        self._waiting[index] = (packet, now)
        self._waiting_bytes += len(packet.payload)
        self._highest = max(self._highest, index)
        heappush(self._indexes, index)
        ready = self._take_ready()
        while len(self._waiting) > MAX_WAITING_PACKETS or self._waiting_bytes > MAX_WAITING_BYTES:
            ready += self._give_up()
        return ready

    def expire(self, now: float) -> Sequence[MediaPacket | None]:
        """Skip the gaps that have lasted too long; at `now` = infinity, all. Returns the packets behind them, as
        `add`."""
        ready: list[MediaPacket | None] = []
        while self._indexes and now - self._waiting[self._indexes[0]][1] >= self._patience_seconds:
            ready += self._give_up()
        return ready

    def _give_up(self) -> list[MediaPacket | None]:
        self._next = self._indexes[0]
        return [None, *self._take_ready()]

    def _take_ready(self) -> list[MediaPacket | None]:
        ready: list[MediaPacket | None] = []
        while self._indexes and self._indexes[0] == self._next:
            packet, _ = self._waiting.pop(heappop(self._indexes))
            self._waiting_bytes -= len(packet.payload)
            self._next += 1
            ready.append(packet)
        return ready

    def _receive_stray(self, sequence: int, packet: MediaPacket) -> Sequence[MediaPacket | None]:
        if sequence != self._stray:
            self._stray = (sequence + 1) & 0xFFFF
            return ()
        self._stray = None
        self._waiting.clear()
        self._indexes.clear()
        self._waiting_bytes = 0
        self._next = self._highest = sequence + 1
        return (None, packet)
