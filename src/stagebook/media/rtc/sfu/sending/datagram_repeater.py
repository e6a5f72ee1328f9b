"""Sends each datagram of a stream a second time, with the next one: audio for viewers that cannot repair it.

A viewer that offers neither RED nor NACK for audio, as Firefox does, hears each packet that its line loses. The second
copy fills the gap if it is not lost as well, and costs as much again. Both copies are the same to the last byte,
because SRTP must not use a nonce for two packets. A receiver drops the second of two as a replay (RFC 3711 section
3.3.2), so it need not know of it.
"""

from collections.abc import Callable
from contextlib import suppress

from stagebook.media.rtc.ice.udp_socket import Address
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters


class DatagramRepeater:
    """In place of the `sendto` of a socket."""

    def __init__(self, sendto: Callable[[memoryview, Address], int], counters: MediaCounters) -> None:
        self._sendto = sendto
        self._counters = counters
        self._before: bytes | None = None

    def __call__(self, data: memoryview, address: Address) -> int:
        """Send a datagram, and the one before it again. Raises OSError if the first cannot be sent."""
        before, self._before = self._before, bytes(data)
        sent = self._sendto(data, address)
        if before is not None:
            with suppress(OSError):
                self._sendto(memoryview(before), address)
            self._counters.resent_packets += 1
            self._counters.resent_bytes += len(before)
        return sent
